// Throughput of the contraction kernels on the layers of well-known networks, as a share of the multiply-add peak that
// one core shows in the same run. Arguments: threads, a substring of the layers to run, seconds a layer, MiB of weights
// to go through in turn (as a network does, whose weights outgrow the caches; default: one set).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "base/isa.h"
#include "base/kernel.h"
#include "kernels/contraction/pack.h"

using namespace tw;

namespace {

// One thread is timed by the processor time it gets, so that other programs do not count; several by the clock.
bool g_processor_time = false;
double now() {
  if (g_processor_time) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

#if TW_X86
void spin_avx512(long n) {
  __asm__ volatile(
      "vxorps %%xmm15, %%xmm15, %%xmm15\n"
      "1:\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm0\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm1\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm2\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm3\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm4\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm5\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm6\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm7\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm8\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm9\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm10\n"
      "vfmadd231ps %%zmm15, %%zmm15, %%zmm11\n"
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(n)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
        "xmm15");
}
void spin_avx2(long n) {
  __asm__ volatile(
      "vxorps %%xmm15, %%xmm15, %%xmm15\n"
      "1:\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm0\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm1\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm2\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm3\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm4\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm5\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm6\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm7\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm8\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm9\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm10\n"
      "vfmadd231ps %%ymm15, %%ymm15, %%ymm11\n"
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(n)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
        "xmm15");
}
#endif

// GFLOP/s of one thread doing nothing but multiply-adds.
double peak() {
#if TW_X86
  const long n = 200000;
  const double start = now();
  if (isa() >= Isa::kAvx512)
    spin_avx512(n);
  else if (isa() == Isa::kAvx2)
    spin_avx2(n);
  else
    return 0;
  return double(n) * 12 * (isa() >= Isa::kAvx512 ? 32 : 16) / (now() - start) / 1e9;
#else
  return 0;
#endif
}

struct Buffer {
  std::vector<float> memory;
  float* data;
  explicit Buffer(int64_t floats) : memory(static_cast<size_t>(floats) + 32) {
    data = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
    for (int64_t i = 0; i < floats; ++i) data[i] = static_cast<float>((i * 7919) % 1000) / 1000 - 0.5f;
  }
};

Tensor tensor(float* data, std::vector<int64_t> dims, bool channels_last = false) {
  Tensor t;
  t.data = data;
  t.rank = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), t.dims);
  t.set_row_major();
  if (channels_last) {
    int64_t stride = dims[1];
    t.strides[1] = 1;
    for (int i = t.rank - 1; i >= 2; --i) t.strides[i] = stride, stride *= dims[static_cast<size_t>(i)];
    t.strides[0] = stride;
  }
  return t;
}

struct NoOutputs final : OutputAllocator {
  void allocate(size_t, std::span<const int64_t>) override {}
};

double g_peak = 0;
double g_seconds = 0.4;
double g_weight_bytes = 0;

void measure(const std::string& name, ThreadPool& pool, const char* kernel_name, const Attributes& attributes,
             std::vector<Tensor> inputs, std::vector<Tensor> outputs, double flops) {
  const int64_t floats = inputs[1].count() / (inputs[1].dtype == DType::kUInt8 ? 4 : 1);
  std::vector<Buffer> weights;
  for (double bytes = 4.0 * static_cast<double>(floats); bytes < g_weight_bytes; bytes += 4.0 * static_cast<double>(floats)) {
    weights.emplace_back(floats);
    std::memcpy(weights.back().data, inputs[1].data, static_cast<size_t>(floats) * 4);
  }
  const auto kernel = make_kernel(kernel_name, {attributes, inputs, outputs});
  Buffer workspace(static_cast<int64_t>(kernel->workspace_bytes(inputs, outputs, pool.threads()) / 4 + 16));
  NoOutputs none;
  const std::atomic<bool> cancelled{false};
  KernelContext context{pool, none, reinterpret_cast<std::byte*>(workspace.data), cancelled};
  double best = 1e9;
  int runs = 0;
  for (const double start = now(); now() - start < g_seconds || runs < 3; ++runs) {
    if (runs % 8 == 0) g_peak = std::max(g_peak, peak());
    if (!weights.empty()) inputs[1].data = weights[static_cast<size_t>(runs) % weights.size()].data;
    const double t = now();
    kernel->run(context, inputs, outputs);
    best = std::min(best, now() - t);
  }
  std::printf("%-60s %9.3f ms %8.1f GFLOP/s  %5.1f %%\n", name.c_str(), best * 1e3, flops / best / 1e9,
              100 * flops / best / 1e9 / g_peak);
}

std::string g_filter;
bool wanted(const std::string& name) { return name.find(g_filter) != std::string::npos; }

void dot(ThreadPool& pool, const char* network, int64_t m, int64_t k, int64_t n, bool packed = true, int64_t batch = 1,
         bool b_transposed = false) {
  const std::string name = std::string(network) + " dot " + (batch > 1 ? std::to_string(batch) + " x " : "") +
                           std::to_string(m) + " x " + std::to_string(k) + " x " + std::to_string(n) +
                           (packed         ? ""
                            : b_transposed ? " (b dynamic, transposed)"
                                           : " (b dynamic)");
  if (!wanted(name)) return;
  Buffer a(batch * m * k), b(batch * n * k), c(batch * m * n);
  Attributes attributes;
  attributes.set("lhs", std::string("bmk"));
  attributes.set("rhs", std::string(b_transposed ? "bnk" : "bkn"));
  attributes.set("out", std::string("bmn"));
  Tensor weights = b_transposed ? tensor(b.data, {batch, n, k}) : tensor(b.data, {batch, k, n});
  const size_t bytes = packed_bytes("dot", attributes, {weights.dims, 3});
  Buffer blob(static_cast<int64_t>(bytes / 4));
  if (packed) {
    attributes.set("packed", 1.0);
    pack("dot", attributes, weights, reinterpret_cast<std::byte*>(blob.data), pool);
    weights = tensor(blob.data, {static_cast<int64_t>(bytes)});
    weights.dtype = DType::kUInt8;
  }
  measure(name, pool, "dot_f32", attributes, {tensor(a.data, {batch, m, k}), weights}, {tensor(c.data, {batch, m, n})},
          2.0 * static_cast<double>(batch * m * k * n));
}

// Square images and kernels, "same" padding, channels-last but for "nchw".
void conv(ThreadPool& pool, const char* network, const char* algorithm, int64_t size, int64_t channels, int64_t outputs,
          int64_t kernel, int64_t stride = 1, int64_t group = 1, int64_t dilation = 1) {
  const std::string name = std::string(network) + " conv " + std::to_string(kernel) + "x" + std::to_string(kernel) +
                           (stride > 1 ? "/" + std::to_string(stride) : "") +
                           (group > 1 ? " group " + std::to_string(group) : "") +
                           (dilation > 1 ? " dilated " + std::to_string(dilation) : "") + " " + std::to_string(size) + " px, " +
                           std::to_string(channels) + " to " + std::to_string(outputs) + " (" + algorithm + ")";
  if (!wanted(name)) return;
  const int64_t out = (size + stride - 1) / stride, pad = (kernel - 1) / 2 * dilation;
  const bool row_major = std::strcmp(algorithm, "nchw") == 0;
  Buffer x(channels * size * size), w(outputs * channels / group * kernel * kernel), y(outputs * out * out),
      bias(outputs);
  Attributes attributes;
  attributes.set("algorithm", std::string(algorithm));
  attributes.set("kernelShape", std::vector<double>{double(kernel), double(kernel)});
  attributes.set("strides", std::vector<double>{double(stride), double(stride)});
  attributes.set("pads", std::vector<double>{double(pad), double(pad), double(pad), double(pad)});
  attributes.set("dilations", std::vector<double>{double(dilation), double(dilation)});
  attributes.set("group", double(group));
  attributes.set("tape", std::vector<std::string>{"in f32 0", "const f32 0", "max f32 0 1"});
  attributes.set("packed", 1.0);
  const Tensor weights = tensor(w.data, {outputs, channels / group, kernel, kernel});
  const std::string tactic = std::string("conv.") + algorithm;
  const size_t bytes = packed_bytes(tactic, attributes, {weights.dims, 4});
  Buffer blob(static_cast<int64_t>(bytes / 4));
  pack(tactic, attributes, weights, reinterpret_cast<std::byte*>(blob.data), pool);
  Tensor packed = tensor(blob.data, {static_cast<int64_t>(bytes)});
  packed.dtype = DType::kUInt8;
  measure(name, pool, "conv_f32", attributes,
          {tensor(x.data, {1, channels, size, size}, !row_major), packed, tensor(bias.data, {outputs})},
          {tensor(y.data, {1, outputs, out, out}, true)},
          2.0 * static_cast<double>(outputs * out * out * channels / group * kernel * kernel));
}

}  // namespace

int main(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 1);
  g_processor_time = pool.threads() == 1;
  if (argc > 2) g_filter = argv[2];
  if (argc > 3) g_seconds = std::atof(argv[3]);
  if (argc > 4) g_weight_bytes = std::atof(argv[4]) * (1 << 20);
  if (const char* level = std::getenv("TW_BENCH_ISA")) limit_isa(static_cast<Isa>(std::atoi(level)));
  for (int i = 0; i < 200; ++i) g_peak = std::max(g_peak, peak());

  dot(pool, "square", 1024, 1024, 1024);
  dot(pool, "resnet50", 3136, 64, 64);
  dot(pool, "resnet50", 3136, 64, 256);
  dot(pool, "resnet50", 3136, 256, 64);
  dot(pool, "resnet50", 784, 512, 128);
  dot(pool, "resnet50", 784, 128, 512);
  dot(pool, "resnet50", 196, 1024, 256);
  dot(pool, "resnet50", 196, 256, 1024);
  dot(pool, "resnet50", 49, 2048, 512);
  dot(pool, "resnet50", 49, 512, 2048);
  dot(pool, "resnet50", 1, 2048, 1000);
  dot(pool, "mobilenet_v2", 12544, 32, 16);
  dot(pool, "mobilenet_v2", 12544, 16, 96);
  dot(pool, "mobilenet_v2", 3136, 144, 24);
  dot(pool, "mobilenet_v2", 196, 96, 576);
  dot(pool, "mobilenet_v2", 49, 160, 960);
  dot(pool, "mobilenet_v2", 49, 320, 1280);
  dot(pool, "bert_base", 128, 768, 768);
  dot(pool, "bert_base", 128, 768, 3072);
  dot(pool, "bert_base", 128, 3072, 768);
  dot(pool, "bert_base", 128, 64, 128, false, 12, true);
  dot(pool, "bert_base", 128, 128, 64, false, 12);
  dot(pool, "gpt2", 1024, 64, 1024, false, 12, true);
  dot(pool, "gpt2", 1024, 1024, 64, false, 12);
  dot(pool, "gpt2", 1, 768, 3072);
  dot(pool, "gpt2", 1, 3072, 768);
  dot(pool, "gpt2", 1, 768, 50257);
  dot(pool, "gpt2", 128, 768, 50257);
  dot(pool, "gpt2", 4, 768, 3072);

  conv(pool, "resnet50", "nchw", 224, 3, 64, 7, 2);
  conv(pool, "resnet50", "indirect", 224, 3, 64, 7, 2);
  for (const char* algorithm : {"indirect", "winograd2", "winograd4"}) {
    conv(pool, "resnet50", algorithm, 56, 64, 64, 3);
    conv(pool, "resnet50", algorithm, 28, 128, 128, 3);
    conv(pool, "resnet50", algorithm, 14, 256, 256, 3);
    conv(pool, "resnet50", algorithm, 7, 512, 512, 3);
    conv(pool, "vgg16", algorithm, 224, 64, 64, 3);
    conv(pool, "vgg16", algorithm, 56, 256, 256, 3);
    conv(pool, "vgg16", algorithm, 14, 512, 512, 3);
  }
  conv(pool, "resnet50", "indirect", 56, 128, 128, 3, 2);
  conv(pool, "resnet50", "indirect", 14, 512, 512, 3, 2);
  conv(pool, "resnet50", "indirect", 56, 256, 512, 1, 2);
  conv(pool, "mobilenet_v2", "nchw", 224, 3, 32, 3, 2);
  conv(pool, "regnet_y", "indirect", 28, 104, 104, 3, 1, 13);
  conv(pool, "deeplabv3", "indirect", 14, 960, 256, 3, 1, 1, 12);
  for (const char* algorithm : {"depthwise"}) {
    conv(pool, "mobilenet_v2", algorithm, 112, 32, 32, 3, 1, 32);
    conv(pool, "mobilenet_v2", algorithm, 112, 96, 96, 3, 2, 96);
    conv(pool, "mobilenet_v2", algorithm, 56, 144, 144, 3, 1, 144);
    conv(pool, "mobilenet_v2", algorithm, 14, 384, 384, 3, 1, 384);
    conv(pool, "mobilenet_v2", algorithm, 7, 960, 960, 3, 1, 960);
    conv(pool, "efficientnet_b0", algorithm, 28, 240, 240, 5, 1, 240);
    conv(pool, "efficientnet_b0", algorithm, 14, 672, 672, 5, 2, 672);
    conv(pool, "convnext", algorithm, 56, 96, 96, 7, 1, 96);
    conv(pool, "convnext", algorithm, 7, 768, 768, 7, 1, 768);
  }
  std::printf("peak of one core %.1f GFLOP/s\n", g_peak);
}
