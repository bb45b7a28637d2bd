// Sources of A and B whose elements are bfloat16 or 8-bit integers. Where a GEMM counts floats, they count words.
#pragma once
#include "kernels/contraction/conv_rows.h"
#include "kernels/contraction/gemm.h"

namespace tw {

// The words a tensor's elements go into; throws kInvalidPlan where there are none narrow.
Words words_of(DType dtype);

// Elements of one operand, of a kind that words_of() knows. Of 8-bit ones, rows are made unsigned and panels signed.
struct WordMatrix {
  const void* data;
  DType dtype;
  Space batch, lines, k;  // lines are rows of A or columns of B; of one operand each

  Words words() const { return words_of(dtype); }
  const std::byte* at(int64_t offset) const {
    return static_cast<const std::byte*>(data) + offset * (info(dtype).bits / 8);
  }
};

class WordRows final : public RowSource {
 public:
  explicit WordRows(const WordMatrix& matrix) : matrix_(matrix), depth_(matrix.k.count()) {}
  const float* rows(int64_t batch, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                    int64_t& ld) const override;

 private:
  const WordMatrix matrix_;
  const int64_t depth_;  // in elements
};

class ConvWordRows final : public RowSource {
 public:
  ConvWordRows(const ConvGeometry& geometry, ConvOrder order, const Tensor& x)
      : geometry_(geometry), runs_(geometry, order), x_(x), depth_(geometry.taps() * geometry.channels) {}
  const float* rows(int64_t group, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                    int64_t& ld) const override;

 private:
  const ConvGeometry& geometry_;
  const ConvRuns runs_;
  const Tensor& x_;
  const int64_t depth_;  // in elements
};

// Packs each block when it is asked for.
class WordPanels final : public PanelSource {
 public:
  explicit WordPanels(const WordMatrix& matrix);
  bool needs_scratch() const override { return true; }
  Panels block(int64_t batch, int64_t k, int64_t kc, int64_t n, int64_t nc, float* scratch) const override;

 private:
  const WordMatrix matrix_;
  const int64_t n_;
  std::vector<int64_t> k_offsets_;  // only where k is no line
};

// Packed weights: the panels of all batches and, of 8-bit integers, the int32 sum of every column of every batch,
// padding included.
struct PackedWords {
  Words words;
  int64_t batch, k, columns;  // k in elements

  int64_t panel_words() const { return word_count(words, k) * padded_columns(columns); }  // of one batch
  int64_t bytes() const {
    return batch * (panel_words() + (words == Words::kInt8 ? padded_columns(columns) : 0)) * 4;
  }
  PackedPanels panels(const Tensor& packed) const {
    return {packed.as<float>(), word_count(words, k), panel_words()};
  }
  const int32_t* column_sums(const Tensor& packed) const {
    return reinterpret_cast<const int32_t*>(packed.as<float>() + batch * panel_words());
  }
  // Throws kInvalidPlan unless the tensor is opaque bytes, as many as these.
  void check(const Tensor& packed) const;
};
void pack_words(const WordMatrix& matrix, std::byte* out, ThreadPool& pool);

}  // namespace tw
