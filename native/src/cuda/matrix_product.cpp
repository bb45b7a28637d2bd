#include "cuda/matrix_product.h"

#include <algorithm>
#include <cstring>

#include "base/host_list.h"
#include "cuda/queue.h"
#include "executor/checked.h"

namespace tw::cuda {
namespace {

using namespace cublaslt;

constexpr size_t kNumbers = 0, kFirstMatrix = 1, kNumberCount = 12;
constexpr int kWantedAlgorithms = 32;
// What the library's makers recommend to offer it.
constexpr int kHopper = 90;
constexpr uint64_t kWorkspaceBytes = uint64_t{4} << 20, kWorkspaceBytesOfHopper = uint64_t{32} << 20;
// Only looked at for its alignment while algorithms are compared.
constexpr uintptr_t kSomeAlignedAddress = 256;

[[noreturn]] void invalid(const std::string& what) { throw Error(tw::Code::kInvalidPlan, what); }

int data_type(DType type) {
  switch (type) {
    case DType::kFloat32: return kFloat32;
    case DType::kFloat16: return kFloat16;
    case DType::kBFloat16: return kBFloat16;
    default: invalid(std::string("cuBLASLt does not multiply ") + std::string(info(type).name));
  }
}

uint32_t epilogue_of(const std::string& name) {
  if (name == "none") return 0;
  if (name == "relu") return kReluEpilogue;
  if (name == "gelu") return kGeluEpilogue;
  invalid("attributes.epilogue: '" + name + "' is unknown");
}

// Elements from a tensor's first to its last.
int64_t reach(const Tensor& t) {
  int64_t last = 0;
  for (int i = 0; i < t.rank; ++i) {
    const auto further = checked_mul(t.dims[i] - 1, t.strides[i]);
    const auto sum = further ? checked_add(last, *further) : std::nullopt;
    if (!sum) invalid("a matrix larger than any memory");
    last = *sum;
  }
  return last;
}

}  // namespace

// Everything that the library wants to know of one product, for as long as it is asked about it.
class MatrixProduct::Call {
 public:
  Call(const MatrixProduct& product, const Sizes& sizes, const void* bias) : product_(product), library_(product.library_) {
    try {
      describe(sizes, bias);
    } catch (...) {
      release();
      throw;
    }
  }
  ~Call() { release(); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  std::vector<Heuristic> algorithms() const {
    PreferencePointer preference = nullptr;
    library_.check(library_.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    const auto destroy = [&](PreferencePointer p) { library_.cublasLtMatmulPreferenceDestroy(p); };
    const std::unique_ptr<PreferenceObject, decltype(destroy)> owner(preference, destroy);
    const auto set = [&](int attribute, const auto& value) {
      library_.check(library_.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
                     "cublasLtMatmulPreferenceSetAttribute");
    };
    const bool hopper = product_.device_->properties().capability >= kHopper;
    set(kMaxWorkspaceBytes, hopper ? kWorkspaceBytesOfHopper : kWorkspaceBytes);
    set(kReductionSchemes, kReduceInComputeType);
    for (int i = 0; i < 4; ++i) set(kMinAlignment[i], product_.alignments_[i]);
    Heuristic found[kWantedAlgorithms] = {};
    int count = 0;
    library_.check(library_.cublasLtMatmulAlgoGetHeuristic(product_.handle_, descriptor_, layouts_[kA], layouts_[kB],
                                                           layouts_[kC], layouts_[kD], preference, kWantedAlgorithms,
                                                           found, &count),
                   "cublasLtMatmulAlgoGetHeuristic");
    std::vector<Heuristic> usable;
    std::copy_if(found, found + count, std::back_inserter(usable), [](const Heuristic& h) { return h.state == kOk; });
    return usable;
  }

  void run(const Heuristic& chosen, const void* a, const void* b, const void* c, void* d, void* workspace,
           StreamHandle stream) const {
    const float alpha = 1, beta = product_.residual_ < 0 ? 0.0f : 1.0f;
    library_.check(library_.cublasLtMatmul(product_.handle_, descriptor_, &alpha, a, layouts_[kA], b, layouts_[kB], &beta, c,
                                           layouts_[kC], d, layouts_[kD], &chosen.algorithm, workspace,
                                           chosen.workspace_bytes, stream),
                   "cublasLtMatmul");
  }

 private:
  void describe(const Sizes& sizes, const void* bias) {
    library_.check(library_.cublasLtMatmulDescCreate(&descriptor_, product_.compute_type_, kFloat32),
                   "cublasLtMatmulDescCreate");
    const auto set = [&](int attribute, const auto& value) {
      library_.check(library_.cublasLtMatmulDescSetAttribute(descriptor_, attribute, &value, sizeof value),
                     "cublasLtMatmulDescSetAttribute");
    };
    set(kTransA, product_.transposed_[kA] ? kTransposed : kAsIs);
    set(kTransB, product_.transposed_[kB] ? kTransposed : kAsIs);
    set(kEpilogue, product_.epilogue_);
    if (product_.bias_ >= 0) set(kBiasPointer, bias);
    for (int i = 0; i < 4; ++i) {
      const auto [rows, columns] = product_.extents(i, sizes);
      const auto [ld, step] = sizes.places[i];
      library_.check(library_.cublasLtMatrixLayoutCreate(&layouts_[i], i < kC ? product_.type_ : product_.result_type_,
                                                         static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), ld),
                     "cublasLtMatrixLayoutCreate");
      if (sizes.batch == 1) continue;
      const auto count = static_cast<int32_t>(sizes.batch);
      for (const auto& [attribute, value, bytes] :
           {std::tuple<int, const void*, size_t>{kBatchCount, &count, sizeof count}, {kStridedBatchOffset, &step, sizeof step}})
        library_.check(library_.cublasLtMatrixLayoutSetAttribute(layouts_[i], attribute, value, bytes),
                       "cublasLtMatrixLayoutSetAttribute");
    }
  }

  void release() {
    for (LayoutPointer layout : layouts_)
      if (layout) library_.cublasLtMatrixLayoutDestroy(layout);
    if (descriptor_) library_.cublasLtMatmulDescDestroy(descriptor_);
  }

  const MatrixProduct& product_;
  const Library& library_;
  DescriptorPointer descriptor_ = nullptr;
  LayoutPointer layouts_[4] = {};
};

MatrixProduct::MatrixProduct(const StepInfo& step) : library_(library()), device_(std::static_pointer_cast<CudaDevice>(step.device)) {
  const auto& [attributes, inputs, outputs, device] = step;
  bias_ = static_cast<int>(attributes.integer("bias", -1));
  residual_ = static_cast<int>(attributes.integer("residual", -1));
  const auto operand = [&](int index) { return index == -1 || (index > 2 && static_cast<size_t>(index) < inputs.size()); };
  if (inputs.size() < 3 || outputs.size() != 1 || !operand(bias_) || !operand(residual_))
    invalid("a product of cuBLASLt has numbers, two matrices, perhaps a bias and a third matrix, and one result");
  if (!is_int64_list(inputs[kNumbers]) || inputs[kNumbers].dims[0] != kNumberCount)
    invalid("the first input of a product of cuBLASLt is a list of 12 int64");
  type_ = data_type(inputs[kFirstMatrix].dtype);
  result_type_ = data_type(outputs[0].dtype);
  const auto of_result = [&](int index) { return index < 0 || inputs[static_cast<size_t>(index)].dtype == outputs[0].dtype; };
  if (inputs[kFirstMatrix + 1].dtype != inputs[kFirstMatrix].dtype || !of_result(bias_) || !of_result(residual_))
    invalid("a product of cuBLASLt: both matrices have one type, bias and third matrix that of the result");
  compute_type_ = attributes.flag("tf32") ? kComputeTf32 : kComputeFloat32;
  transposed_[kA] = attributes.flag("transposeA");
  transposed_[kB] = attributes.flag("transposeB");
  epilogue_ = epilogue_of(attributes.string("epilogue", "none")) | (bias_ < 0 ? 0 : kBiasEpilogue);
  if (epilogue_ == 0) epilogue_ = kNoEpilogue;
  const auto alignments = attributes.integers("alignments");
  if (alignments.size() != 4 || std::any_of(alignments.begin(), alignments.end(), [](int64_t a) { return a < 1 || a > 256; }))
    invalid("attributes.alignments: four numbers of bytes");
  std::transform(alignments.begin(), alignments.end(), alignments_, [](int64_t a) { return static_cast<uint32_t>(a); });
  // Another version of the library lists other algorithms: its first choice is the best guess then.
  const int64_t index = attributes.string("version") == library_.version ? attributes.integer("algorithm", 0) : 0;
  if (index < 0) invalid("attributes.algorithm: negative");
  algorithm_ = static_cast<size_t>(index);
  handle_ = handle(*device_);
}

MatrixProduct::Sizes MatrixProduct::sizes(std::span<const Tensor> inputs) const {
  Sizes s;
  std::memcpy(&s, inputs[kNumbers].data, sizeof s);
  return s;
}

std::array<int64_t, 2> MatrixProduct::extents(int matrix, const Sizes& s) const {
  std::array<int64_t, 2> e = matrix == kA   ? std::array{s.rows, s.depth}
                             : matrix == kB ? std::array{s.depth, s.columns}
                                            : std::array{s.rows, s.columns};
  if (matrix < kC && transposed_[matrix]) std::swap(e[0], e[1]);
  return e;
}

void MatrixProduct::check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const {
  if (host_list(inputs[kNumbers], "the numbers of a product").size() != kNumberCount)
    invalid("the numbers of a product have changed");
  const Sizes s = sizes(inputs);
  for (const int64_t extent : {s.rows, s.columns, s.depth, s.batch})
    if (extent < 0 || extent > INT32_MAX) throw Error(tw::Code::kLimitExceeded, "a matrix of " + std::to_string(extent) + " rows");
  if (empty(s)) return;
  if (s.depth == 0) throw Error(tw::Code::kUnsupported, "cuBLASLt adds no sums without products");
  const Tensor* tensors[4] = {&inputs[kFirstMatrix], &inputs[kFirstMatrix + 1],
                              residual_ < 0 ? &outputs[0] : &inputs[static_cast<size_t>(residual_)], &outputs[0]};
  for (int i = 0; i < 4; ++i) {
    const auto [rows, columns] = extents(i, s);
    const auto [ld, step] = s.places[i];
    const auto across = checked_mul(columns - 1, ld), along = checked_mul(s.batch - 1, step);
    const auto sum = across && along ? checked_add(*across, *along) : std::nullopt;
    const auto last = sum ? checked_add(*sum, rows - 1) : std::nullopt;
    if (ld < rows || step < 0 || !last || *last > reach(*tensors[i])) invalid("a product of cuBLASLt leaves its operands");
  }
  if (bias_ >= 0) {
    const Tensor& bias = inputs[static_cast<size_t>(bias_)];
    if (!bias.contiguous() || bias.count() != s.rows) invalid("the bias of a product of cuBLASLt has another size");
  }
}

Heuristic MatrixProduct::algorithm(const Sizes& sizes) const {
  constexpr size_t kMost = 32;
  {
    std::lock_guard lock(mutex_);
    const auto known = std::find_if(found_.rbegin(), found_.rend(), [&](const auto& f) { return f.first == sizes; });
    if (known != found_.rend()) {
      std::rotate(std::prev(known.base()), known.base(), found_.end());
      return found_.back().second;
    }
  }
  // Two threads may ask the same: they are told the same.
  const auto list = device_->with_memory(
      [&] { return Call(*this, sizes, reinterpret_cast<const void*>(kSomeAlignedAddress)).algorithms(); });
  if (list.empty())
    throw Error(tw::Code::kUnsupported, "cuBLASLt " + library_.version + " has no algorithm for the product");
  const Heuristic& chosen = list[algorithm_ < list.size() ? algorithm_ : 0];
  std::lock_guard lock(mutex_);
  if (found_.size() == kMost) found_.erase(found_.begin());
  found_.emplace_back(sizes, chosen);
  return chosen;
}

size_t MatrixProduct::workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor>, int) const {
  const Sizes s = sizes(inputs);
  if (empty(s)) return 0;
  device_->make_current();
  return algorithm(s).workspace_bytes;
}

void MatrixProduct::run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
  const Sizes s = sizes(inputs);
  if (empty(s)) return;
  void* d = outputs[0].data;
  const void* c = residual_ < 0 ? d : inputs[static_cast<size_t>(residual_)].data;
  const void* bias = bias_ < 0 ? nullptr : inputs[static_cast<size_t>(bias_)].data;
  const void *a = inputs[kFirstMatrix].data, *b = inputs[kFirstMatrix + 1].data;
  const void* matrices[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i)
    if (reinterpret_cast<uintptr_t>(matrices[i]) % alignments_[i]) invalid("attributes.alignments: an operand lies otherwise");
  Call(*this, s, bias).run(algorithm(s), a, b, c, d, context.workspace, static_cast<Queue&>(*context.queue).lend());
}

}  // namespace tw::cuda
