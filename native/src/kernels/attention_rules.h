// Which keys a query of attention may see, and what is added to its scores.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/shape.h"
#include "kernels/common/signature.h"

namespace tw {

// scale (default 1 / sqrt(D)), softcap, isCausal, causalOffset, leftWindow, rightWindow; an optional mask that broadcasts
// to [B, H, L, S], boolean (true: may be seen) or added, where masksInTurn batch b has that of b mod their number; optional
// lengths of the keys of each batch.
class AttentionRules {
 public:
  explicit AttentionRules(const Attributes& a)
      : scale_(a.number("scale", 0)),
        has_scale_(a.has("scale")),
        softcap(a.number("softcap", 0)),
        causal_(a.flag("isCausal")),
        offset_(a.integer("causalOffset", 0)),
        left_(a.integer("leftWindow", -1)),
        right_(a.integer("rightWindow", -1)),
        masks_in_turn_(a.flag("masksInTurn")) {}

  double scale(int64_t size) const { return has_scale_ ? scale_ : 1 / std::sqrt(static_cast<double>(size)); }

  // What is left once the tensors are known.
  struct Bound {
    const AttentionRules& rules;
    int64_t queries, keys;
    Tensor mask;  // a view [B, H, L, S or 1 or fewer]; data null without
    std::vector<int64_t> lengths;

    struct Range { int64_t first, end; };
    // The keys that query i of batch b may see, but for the mask's elements.
    Range range(int64_t b, int64_t i) const {
      int64_t first = 0, end = keys;
      const bool counted = !lengths.empty();
      const int64_t length = counted ? lengths[static_cast<size_t>(b)] : 0;
      const int64_t position = i + (counted ? length - queries : rules.offset_);
      if (counted) end = std::min(end, length);
      if (mask.data && mask.dims[3] != 1) end = std::min(end, mask.dims[3]);
      if (rules.causal_) end = std::min(end, position + 1);
      if (rules.right_ >= 0) end = std::min(end, position + rules.right_ + 1);
      if (rules.left_ >= 0) first = std::max(first, position - rules.left_);
      return {first, std::max(first, end)};
    }

    // The mask of a batch, as an index.
    int64_t mask_of(int64_t b) const { return rules.masks_in_turn_ && mask.dims[0] > 0 ? b % mask.dims[0] : b; }

    // Adds the mask to the scores of keys [first, first + n).
    template <typename T>
    void add_mask(T* scores, int64_t b, int64_t h, int64_t i, int64_t first, int64_t n) const {
      if (!mask.data) return;
      const int64_t at = mask_of(b) * mask.strides[0] + h * mask.strides[1] + i * mask.strides[2] + first * mask.strides[3], step = mask.strides[3];
      if (mask.dtype == DType::kBool) {
        const uint8_t* m = mask.as<uint8_t>() + at;
        for (int64_t j = 0; j < n; ++j)
          if (!m[j * step]) scores[j] = -std::numeric_limits<T>::infinity();
      } else {
        const T* m = mask.as<T>() + at;
        // An element of minus infinity forbids, whatever the score is.
        for (int64_t j = 0; j < n; ++j) scores[j] = m[j * step] == -std::numeric_limits<T>::infinity() ? m[j * step] : scores[j] + m[j * step];
      }
    }
  };

  // That the tensors' shapes and types fit together.
  void check(std::span<const Tensor> inputs, size_t mask, size_t lengths, const Tensor& q, const Tensor& k) const {
    expect_rank("q", q, 4, 4);
    expect_rank("k", k, 4, 4);
    expect(q.dims[0] == k.dims[0] && q.dims[3] == k.dims[3], "q and k differ in batch or head size");
    expect(k.dims[1] > 0 && q.dims[1] % k.dims[1] == 0, "the query heads are no multiple of the key heads");
    if (present(inputs, mask)) {
      const Tensor& m = inputs[mask];
      if (m.dtype != DType::kBool && m.dtype != q.dtype)
        throw Error(Code::kUnsupported, "the mask is " + std::string(info(m.dtype).name) + ", expected bool or q's type");
      expect_rank("the mask", m, 0, 4);
      // It may be shorter than the keys: the rest is not seen.
      int64_t full[4] = {q.dims[0], q.dims[1], q.dims[2], k.dims[2]};
      if (masks_in_turn_ && m.rank == 4) {
        full[0] = m.dims[0];
        expect(full[0] > 0 ? q.dims[0] % full[0] == 0 : q.dims[0] == 0, "the batches are no multiple of the masks");
      }
      if (m.rank && m.dims[m.rank - 1] < full[3]) full[3] = m.dims[m.rank - 1];
      expect_broadcast("the mask", m, full);
    }
    if (present(inputs, lengths)) expect_dims("key lengths", inputs[lengths], {q.dims[0]});
  }

  Bound bind(std::span<const Tensor> inputs, size_t mask, size_t lengths, const Tensor& q, const Tensor& k) const {
    Bound bound{*this, q.dims[2], k.dims[2], {}, {}};
    if (present(inputs, mask)) bound.mask = broadcast_mask(inputs[mask]);
    if (present(inputs, lengths)) bound.lengths = read_integers(inputs[lengths], "key lengths of attention");
    return bound;
  }

 private:
  static Tensor broadcast_mask(const Tensor& m) {
    Tensor view = m;
    view.rank = 4;
    for (int i = 0; i < 4; ++i) {
      const int own = i - (4 - m.rank);
      view.dims[i] = own < 0 ? 1 : m.dims[own];
      view.strides[i] = own < 0 || m.dims[own] == 1 ? 0 : m.strides[own];
    }
    return view;
  }

  double scale_;
  bool has_scale_;

 public:
  const double softcap;

 private:
  bool causal_;
  int64_t offset_, left_, right_;
  bool masks_in_turn_;  // batch b has mask b mod their number
};

}  // namespace tw
