#!/bin/sh
# The GPU suite: sh scripts/test-gpu.sh [STAGE …]; stages: conformance tests kernels zoo latency builds pytorch streams
# soak sanitizer;
# default: all. Only when named:
#   contractions   times of product kernels for packages/harness/src/contractions/fit.ts, and our fastest beside the
#                  libraries' (CONTRACTIONS: names of networks, CONTRACTIONS_SHOWN: lines of the table)
#   attention      every kernel for attention against the formula, and its time (ATTENTION: names of problems)
#   convolutions   random ones by every engine of cuDNN (CONVOLUTIONS: how many)
#   plugins        the stock plugins against their formulas, and their times beside standard layers (PLUGINS: names of cases)
#   library        plans with plugins, of libraries and of TypeScript, and what a plugin's step costs in a CUDA graph
#   devices        one plan on every device of the machine
# In a clone it runs the sources as they are; in a folder of scripts/pack-gpu.mjs, what was packed.
#   DATA     folder with onnx-conformance and models   (default: ../shared of the clone)
#   RESULTS  folder of the reports, JSON               (default: .cache/gpu)
#   MODELS   models of the stages zoo and soak         (default: all, and digits_resnet)
#   ZOO      where the models' weights are written     (default: /tmp/tensorwright-zoo)
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ -f "$here/content.tar.xz" ]; then
  program() { sh "$here/run.sh" "$@"; }
  node=${TENSORWRIGHT_UNPACKED:-/tmp/tensorwright}/node
  bench=$here
else
  program() {
    file=packages/harness/src/$1/main.ts
    [ "$1" = tensorwright ] && file=packages/cli/src/main.ts
    shift
    (cd "$here/.." && node scripts/from-source.mjs "$file" "$@")
  }
  node=node
  bench=$here/../bench
fi
DATA=${DATA:-$here/../../shared}
RESULTS=${RESULTS:-$here/../.cache/gpu}
ZOO=${ZOO:-/tmp/tensorwright-zoo}
mkdir -p "$RESULTS" "$ZOO"
backends=cuda,cpu,reference
failed=

stage() { # NAME COMMAND …: the last lines of its output, and whether it failed
  name=$1
  shift
  echo "== $name"
  started=$(date +%s)
  "$@" > "$RESULTS/$name.log" 2>&1 || failed="$failed $name"
  tail -n "${LINES_SHOWN:-4}" "$RESULTS/$name.log" | cut -c1-"${COLUMNS_SHOWN:-400}"
  echo "   $(($(date +%s) - started)) s"
}

weights() { # MODEL …: those that are not written yet
  for model; do [ -e "$ZOO/$model.onnx" ] || "$node" "$DATA/models/materialize.mjs" "$ZOO" "$model" > /dev/null; done
}

all_models() { ls "$DATA/models" | sed -n 's/\.onnx$//p'; }

conformance() {
  stage conformance program conformance "$DATA/onnx-conformance" --workers 8 --backends $backends --json "$RESULTS/conformance.json"
}

# The repository's tests of what computes on a device.
tests() {
  if [ -f "$here/content.tar.xz" ]; then stage tests program tests/main --workers 8 --json "$RESULTS/tests.json"
  else stage tests in_clone env TENSORWRIGHT_CUDA_DRIVER= npx vitest run packages/backend-cuda packages/plugins packages/builder
  fi
}

in_clone() { (cd "$here/.." && "$@"); }

# Random problems of odd extents by every kind of kernel, into poisoned memory.
kernels() {
  LINES_SHOWN=12 stage kernels program kernels --workers 12 --count "${PROBLEMS:-680}" --json "$RESULTS/kernels.json"
}

zoo() {
  models=${MODELS:-$(all_models)}
  weights $models
  for precision in ${PRECISIONS:-fp32 fp16 bf16}; do
    flag=$precision
    [ "$precision" = fp32 ] && flag=
    LINES_SHOWN=40 COLUMNS_SHOWN=150 stage "zoo-$precision" program zoo "$ZOO" $models --backends $backends --precision "$flag" \
      --threads 8 --level "${LEVEL:-0}" --duration 50 --json "$RESULTS/zoo-$precision.json"
  done
}

# MODEL:BATCH,…[@SEQUENCE]
table=${TABLE:-"resnet50:1,8,32,128 bert_base:1,8,32 bert_base:1,8@384 vit_b_16:1,8,32 mobilenet_v2:1,32 efficientnet_b0:1,32 convnext_tiny:1,32 resnet18:1 swin_t:1 gpt2:1 \
  vgg16:1 squeezenet1_1:1,32 densenet121:1,32 inception_v3:1,32 mobilenet_v3_large:1,32 shufflenet_v2_x1_0:1,32 \
  regnet_y_400mf:1,32 deeplabv3_mobilenet:1 distilbert_sst2:1,8 t5_small_encoder:1,8 whisper_tiny_encoder:1 llama_160m:1,8"}

latency() {
  for row in $table; do
    model=${row%%:*}
    rest=${row#*:}
    sequence=128
    case $rest in *@*) sequence=${rest#*@} rest=${rest%@*} ;; esac
    weights "$model"
    for batch in $(echo "$rest" | tr , ' '); do
      LINES_SHOWN=2 COLUMNS_SHOWN=240 stage "latency-$model-$batch-$sequence" program zoo "$ZOO" "$model" --backends $backends --precision fp16 \
        --peer none --batch "$batch" --sequence "$sequence" --threads 8 --level "${LEVEL:-3}" --duration 100 \
        --timing-cache "$RESULTS/timing-cache" --layers --json "$RESULTS/latency-$model-$batch-$sequence.json"
    done
  done
}

# Without the times and the kernels of earlier builds, then with them.
builds() {
  for model in resnet50 bert_base; do
    caches=$RESULTS/build-caches/$model
    rm -rf "$caches"
    weights "$model"
    for kind in cold cached; do
      LINES_SHOWN=2 COLUMNS_SHOWN=240 stage "$kind-$model-1-128" kept_in "$caches" zoo "$ZOO" "$model" --backends $backends \
        --precision fp16 --peer none --threads 8 --level 3 --duration 100 --json "$RESULTS/$kind-$model-1-128.json"
    done
  done
}

kept_in() { # FOLDER PROGRAM ARGUMENT …: with caches of its own
  caches=$1
  shift
  (export TENSORWRIGHT_KERNEL_CACHE="$caches/kernels"; program "$@" --timing-cache "$caches/times")
}

pytorch() {
  python3 -c 'import torch; assert torch.cuda.is_available()' 2> /dev/null || { echo "== pytorch: not installed"; return; }
  LINES_SHOWN=40 stage pytorch python3 "$bench/pytorch.py" $table
}

contractions() {
  LINES_SHOWN="${CONTRACTIONS_SHOWN:-4}" stage contractions program contractions --seconds "${SECONDS_OF_TIMING:-240}" \
    --json "$RESULTS/contractions.json" ${CONTRACTIONS:-}
}

convolutions() {
  stage convolutions program convolutions --count "${CONVOLUTIONS:-200}" --json "$RESULTS/convolutions.json"
}

attention() {
  LINES_SHOWN=120 stage attention program attention --json "$RESULTS/attention.json" ${ATTENTION:-}
}

plugins() {
  LINES_SHOWN=200 stage plugins program plugins --json "$RESULTS/plugins.json" ${PLUGINS:-}
}

library() {
  libraries=
  if [ ! -f "$here/content.tar.xz" ]; then
    node "$here/plugin-libraries.mjs" "$RESULTS/libraries" || { failed="$failed library"; return; }
    libraries="--libraries $RESULTS/libraries"
  fi
  LINES_SHOWN=11 COLUMNS_SHOWN=150 stage library program plugin-library $libraries --json "$RESULTS/plugin-library.json"
}

# Results of all devices, and how many runs a second they do alone and together.
devices() {
  weights resnet50
  stage devices program devices "$ZOO/resnet50.onnx" --precision fp16 --json "$RESULTS/devices.json"
}

soak() {
  model=${MODELS:-digits_resnet}
  weights "$model"
  stage soak program soak "$ZOO/$model.onnx" --backends $backends --builds "${BUILDS:-50}"
}

# Throughput of contexts side by side, each with a stream of its own.
streams() {
  weights resnet50
  program tensorwright build "$ZOO/resnet50.onnx" -o "$RESULTS/resnet50.plan" --fp16 --backends cuda,cpu --shapes input:1x3x224x224 --quiet
  for n in 1 2 4; do
    LINES_SHOWN=9 stage "streams-$n" program tensorwright bench "$RESULTS/resnet50.plan" --streams $n --duration 2s --quiet
  done
  rm -f "$RESULTS/resnet50.plan"
}

# TOOL COMMAND …: only errors that it reports, or a failing command, fail. Starting takes longer than it waits by default.
watched() {
  tool=$1
  shift
  timeout "${SANITIZER_SECONDS:-900}" compute-sanitizer --tool "$tool" --target-processes all --launch-timeout 300 \
    --error-exitcode 9 "$@"
}

# In one process, which ends by itself: the tool loses what it knows of one that is killed.
watched_conformance() {
  tool=$1
  shift
  set -- "$DATA/onnx-conformance" "$@" --workers 0 --level 0 --backends $backends
  if [ -f "$here/content.tar.xz" ]; then watched "$tool" sh "$here/run.sh" conformance "$@"
  else (cd "$here/.." && watched "$tool" node scripts/from-source.mjs packages/harness/src/conformance/main.ts "$@")
  fi
}

sanitizer() {
  command -v compute-sanitizer > /dev/null || { echo "== sanitizer: compute-sanitizer is not installed"; return; }
  for tool in ${SANITIZER_TOOLS:-memcheck racecheck synccheck}; do
    stage "sanitizer-$tool" watched_conformance "$tool" ${CASES:-test_gemm_all test_basic_conv test_softmax_axis \
      test_layer_normalization_2d test_attention_4d_fp16 test_reduce_mean_do test_gather_0 test_top_k}
  done
}

case "${1:-}" in
'') conformance; tests; kernels; zoo; latency; builds; pytorch; streams; soak; sanitizer ;;
*) for name; do "$name"; done ;;
esac
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
