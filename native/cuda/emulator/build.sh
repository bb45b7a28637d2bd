#!/bin/sh
# Builds the four libraries and their test with the compiler alone: build.sh [FOLDER]; the default is native/build/emulator.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../build/emulator}
mkdir -p "$out"
flags="-std=c++20 -O2 -Wall -Wextra -fPIC"
runtime=$(ls "$here"/src/*.cpp | grep -v -e /nvrtc.cpp -e /cublaslt.cpp -e /cudnn.cpp)
${CXX:-g++} $flags -fno-stack-protector -fcf-protection=none -shared $runtime -o "$out/libtensorwright_emulator_cuda.so" -ldl -pthread
${CXX:-g++} $flags -shared "-DTW_DEVICE_FOLDER=\"$here/device\"" "$here/src/nvrtc.cpp" -o "$out/libtensorwright_emulator_nvrtc.so"
for library in cublaslt cudnn; do
  ${CXX:-g++} $flags -shared "$here/src/$library.cpp" -o "$out/libtensorwright_emulator_$library.so" \
    -L"$out" -ltensorwright_emulator_cuda '-Wl,-rpath,$ORIGIN'
done
${CXX:-g++} $flags "-DTW_KERNELS_FOLDER=\"$here/../kernels\"" "-DTW_TEST_FOLDER=\"$here/test\"" "$here/test/main.cpp" \
  -o "$out/test_emulator" -ldl -pthread
echo "TENSORWRIGHT_CUDA_DRIVER=$(cd "$out" && pwd)/libtensorwright_emulator_cuda.so"
echo "TENSORWRIGHT_NVRTC=$(cd "$out" && pwd)/libtensorwright_emulator_nvrtc.so"
echo "TENSORWRIGHT_CUBLASLT=$(cd "$out" && pwd)/libtensorwright_emulator_cublaslt.so"
echo "TENSORWRIGHT_CUDNN=$(cd "$out" && pwd)/libtensorwright_emulator_cudnn.so"
