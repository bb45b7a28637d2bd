#include "kernels/common/adapt.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/common/shape.h"
#include "kernels/contraction/word_loops.h"
#include "tape/tape.h"

namespace tw {
namespace {

constexpr int64_t kGrain = 16384;  // elements a thread converts at least

size_t align(size_t bytes) { return (bytes + 63) / 64 * 64; }

bool narrow_float(DType t) {
  return info(t).domain == Domain::kF32 && t != DType::kFloat32 && t != DType::kComplex64;
}

// The type the inner kernel sees.
DType inner_dtype(DType t, const Adapt& policy) {
  if (policy.widen_floats && narrow_float(t)) return DType::kFloat32;
  if (policy.unpack && is_sub_byte(t)) return DType::kUInt8;
  return t;
}

template <typename T>
void copy_strided(const Tensor& from, const Tensor& to, int64_t begin, int64_t end) {
  Walk<2> walk;
  // Rows along the last axis; the walk is over the others.
  for (int i = 0; i + 1 < from.rank; ++i) walk.add(from.dims[i], {from.strides[i], to.strides[i]});
  const int last = from.rank - 1;
  const int64_t n = last < 0 ? 1 : from.dims[last], a = last < 0 ? 0 : from.strides[last], b = last < 0 ? 0 : to.strides[last];
  walk.seek(begin);
  for (int64_t row = begin; row < end; ++row, walk.next()) {
    const T* p = from.as<T>() + walk.offset[0];
    T* q = to.as<T>() + walk.offset[1];
    if (a == 1 && b == 1)
      std::memcpy(q, p, static_cast<size_t>(n) * sizeof(T));
    else
      for (int64_t i = 0; i < n; ++i) q[i * b] = p[i * a];
  }
}

// Same dtype, same dims, any strides.
void copy_layout(ThreadPool& pool, const Tensor& from, const Tensor& to) {
  const int64_t n = from.count();
  if (n == 0) return;
  const int64_t row = from.rank ? from.dims[from.rank - 1] : 1;
  visit_size("a copy", from.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    pool.parallel_ranges(n / row, std::max<int64_t>(1, kGrain / row),
                         [&](int64_t begin, int64_t end, int) { copy_strided<T>(from, to, begin, end); });
  });
}

void unpack_bits(const Tensor& from, uint8_t* to) {
  const int bits = info(from.dtype).bits, per_byte = 8 / bits, mask = (1 << bits) - 1;
  const uint8_t* p = from.as<uint8_t>();
  const int64_t n = from.count();
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<uint8_t>((p[i / per_byte] >> (i % per_byte * bits)) & mask);
}

void pack_bits(const uint8_t* from, const Tensor& to) {
  const int bits = info(to.dtype).bits, per_byte = 8 / bits;
  uint8_t* q = to.as<uint8_t>();
  const int64_t n = to.count();
  std::memset(q, 0, packed_bytes(to.dtype, n));
  for (int64_t i = 0; i < n; ++i) q[i / per_byte] |= static_cast<uint8_t>(from[i] << (i % per_byte * bits));
}

// Same dims, any strides, any two real dtypes.
void convert_layout(ThreadPool& pool, const Tensor& from, const Tensor& to) {
  // Never destroyed: threads go on while the process ends.
  static const auto& identity = *new std::shared_ptr<const Tape>(Tape::parse({"in f32 0"}, {0}));
  const auto at = [](const Tensor& t, int64_t offset) { return t.as<std::byte>() + packed_bytes(t.dtype, offset); };
  const auto convert = [&](int64_t from_offset, int64_t a, int64_t to_offset, int64_t b, int64_t n) {
    if (a == 1 && b == 1 && from.dtype == DType::kBFloat16 && to.dtype == DType::kFloat32)
      return word_loops().widen(from.as<uint16_t>() + from_offset, n, to.as<float>() + to_offset);
    if (a == 1 && b == 1 && from.dtype == DType::kFloat32 && to.dtype == DType::kBFloat16)
      return word_loops().narrow(from.as<float>() + from_offset, n, to.as<uint16_t>() + to_offset);
    const TapeOperand operand{at(from, from_offset), from.dtype, a};
    const TapeResult result{at(to, to_offset), to.dtype, b};
    identity->run(n, {&operand, 1}, {&result, 1});
  };
  const int64_t n = from.count();
  if (n == 0) return;
  const bool both_last = from.channels_last() && to.channels_last();
  if ((from.contiguous() && to.contiguous()) || both_last) {  // whole bytes of packed types stay with one thread
    constexpr int64_t kPiece = 1024;
    pool.parallel_ranges((n + kPiece - 1) / kPiece, kGrain / kPiece, [&](int64_t begin, int64_t end, int) {
      convert(begin * kPiece, 1, begin * kPiece, 1, std::min(n, end * kPiece) - begin * kPiece);
    });
    return;
  }
  const int last = from.rank - 1;  // a scalar is contiguous
  pool.parallel_ranges(n / from.dims[last], std::max<int64_t>(1, kGrain / from.dims[last]), [&](int64_t begin, int64_t end, int) {
    Walk<2> walk;
    for (int i = 0; i < last; ++i) walk.add(from.dims[i], {from.strides[i], to.strides[i]});
    walk.seek(begin);
    for (int64_t row = begin; row < end; ++row, walk.next())
      convert(walk.offset[0], from.strides[last], walk.offset[1], to.strides[last], from.dims[last]);
  });
}

void to_inner(ThreadPool& pool, const Tensor& t, const Tensor& inner) {
  if (t.dtype == inner.dtype) return copy_layout(pool, t, inner);
  if (inner.dtype == DType::kUInt8) return unpack_bits(t, inner.as<uint8_t>());
  convert_layout(pool, t, inner);
}

void from_inner(ThreadPool& pool, const Tensor& inner, const Tensor& t) {
  if (t.dtype == inner.dtype) return copy_layout(pool, inner, t);
  if (inner.dtype == DType::kUInt8) return pack_bits(inner.as<uint8_t>(), t);
  convert_layout(pool, inner, t);
}

class Adapted final : public Kernel {
 public:
  Adapted(const StepInfo& step, Adapt policy, KernelFactory factory, std::optional<Signature> signature)
      : policy_(policy), signature_(signature) {
    std::vector<Tensor> inputs(step.inputs.begin(), step.inputs.end()), outputs(step.outputs.begin(), step.outputs.end());
    for (auto* list : {&inputs, &outputs})
      for (Tensor& t : *list) {
        if (!copied(t, false)) continue;
        t.dtype = inner_dtype(t.dtype, policy_);
        t.data = nullptr;
        if (t.rank >= 0) t.set_row_major();
      }
    if (signature_) check_types(*signature_, inputs, outputs);
    inner_ = factory({step.attributes, inputs, outputs});
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    std::vector<Tensor> in(inputs.begin(), inputs.end()), out(outputs.begin(), outputs.end());
    const size_t bytes = place_all(in, out, nullptr);
    return bytes + align(inner_->workspace_bytes(in, out, threads));
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    std::vector<Tensor> in(inputs.begin(), inputs.end()), out(outputs.begin(), outputs.end());
    place_all(in, out, nullptr);
    if (signature_) check_shapes(*signature_, in, out);
    inner_->check(in, out);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    std::vector<Tensor> in(inputs.begin(), inputs.end()), out(outputs.begin(), outputs.end());
    const size_t bytes = place_all(in, out, context.workspace);
    for (size_t i = 0; i < in.size(); ++i)
      if (in[i].data != inputs[i].data)
        to_inner(context.pool, inputs[i], in[i]);

    Allocator allocator(*this, context, outputs, out);
    KernelContext inner{context.pool, allocator, context.workspace + bytes, context.cancelled};
    inner_->run(inner, in, out);

    for (size_t i = 0; i < out.size(); ++i)
      if (outputs[i].data && out[i].data != outputs[i].data)
        from_inner(context.pool, out[i], outputs[i]);
  }

 private:
  bool copied(const Tensor& t, bool any_layout) const {
    if (inner_dtype(t.dtype, policy_) != t.dtype) return true;
    return policy_.dense && !any_layout && t.rank >= 0 && !t.contiguous();
  }

  size_t place_all(std::vector<Tensor>& in, std::vector<Tensor>& out, std::byte* workspace) const {
    const bool images = policy_.channels_last && !in.empty() && !out.empty() && in[0].channels_last() && out[0].channels_last() &&
                        inner_dtype(in[0].dtype, policy_) == in[0].dtype && inner_dtype(out[0].dtype, policy_) == out[0].dtype;
    size_t bytes = 0;
    for (auto* list : {&in, &out})
      for (size_t i = 0; i < list->size(); ++i) bytes = place((*list)[i], workspace, bytes, images && i == 0);
    return bytes;
  }

  // Replaces t by its stand-in at `workspace` + bytes, if it needs one; returns the bytes used up to its end.
  size_t place(Tensor& t, std::byte* workspace, size_t bytes, bool any_layout) const {
    if (t.rank < 0) {
      if (!t.data) t.dtype = inner_dtype(t.dtype, policy_);
      return bytes;
    }
    if (!copied(t, any_layout)) return bytes;
    const bool skipped = workspace && !t.data;  // an output nobody reads
    t.dtype = inner_dtype(t.dtype, policy_);
    if (policy_.dense || t.contiguous() || !t.channels_last()) t.set_row_major();
    t.data = workspace && !skipped ? workspace + bytes : nullptr;
    return bytes + align(packed_bytes(t.dtype, t.count()));
  }

  // Gives outputs of unknown shape to the inner kernel: the caller's memory where the dtype fits, else its own.
  class Allocator final : public OutputAllocator {
   public:
    Allocator(const Adapted& kernel, KernelContext& context, std::span<Tensor> outer, std::vector<Tensor>& inner)
        : kernel_(kernel), context_(context), outer_(outer), inner_(inner), memory_(outer.size()) {}
    void allocate(size_t index, std::span<const int64_t> dims) override {
      context_.outputs_of_unknown_shape.allocate(index, dims);
      Tensor t = outer_[index];
      if (t.data && kernel_.copied(t, false)) {
        t.dtype = inner_dtype(t.dtype, kernel_.policy_);
        t.set_row_major();
        memory_[index].resize(packed_bytes(t.dtype, t.count()) + 64);
        t.data = memory_[index].data();
      }
      inner_[index] = t;
    }

   private:
    const Adapted& kernel_;
    KernelContext& context_;
    std::span<Tensor> outer_;
    std::vector<Tensor>& inner_;
    std::vector<std::vector<std::byte>> memory_;
  };

  Adapt policy_;
  std::optional<Signature> signature_;
  std::unique_ptr<Kernel> inner_;
};

}  // namespace

std::unique_ptr<Kernel> adapt(const StepInfo& step, Adapt policy, KernelFactory factory, std::optional<Signature> signature) {
  return std::make_unique<Adapted>(step, policy, factory, signature);
}

}  // namespace tw
