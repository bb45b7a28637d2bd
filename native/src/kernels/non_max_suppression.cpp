// nonMaxSuppression(boxes, scores, maxOutputBoxesPerClass?, iouThreshold?, scoreThreshold?){centerPointBox}: boxes by
// falling score, without those that overlap a better one, as [batch, class, box] triples.
#include <algorithm>
#include <limits>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

// Corners and areas of the boxes of one batch, or of those kept, by coordinate so that comparisons vectorise.
struct Boxes {
  std::vector<float> y0, x0, y1, x1, area;
  void resize(size_t n) {
    for (auto* list : {&y0, &x0, &y1, &x1, &area}) list->resize(n);
  }
};

class NonMaxSuppression final : public Kernel {
 public:
  explicit NonMaxSuppression(const StepInfo& step) : centred_(step.attributes.flag("centerPointBox")) {
    if (step.inputs[0].dtype != DType::kFloat32) unsupported_dtype("nonMaxSuppression", step.inputs[0].dtype);
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    expect_rank("scores", inputs[1], 3, 3);
    expect_dims("boxes", inputs[0], {inputs[1].dims[0], inputs[1].dims[2], 4});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &boxes = inputs[0], &scores = inputs[1];
    const int64_t batches = scores.dims[0], classes = scores.dims[1], n = scores.dims[2];
    const int64_t asked = present(inputs, 2) && inputs[2].count() ? read_integer(inputs[2], "maxOutputBoxesPerClass") : 0;
    const int64_t limit = std::clamp<int64_t>(asked, 0, n);
    const float iou = present(inputs, 3) && inputs[3].count() ? static_cast<float>(read_number(inputs[3], "iouThreshold")) : 0;
    const bool has_floor = present(inputs, 4) && inputs[4].count();
    const float floor = has_floor ? static_cast<float>(read_number(inputs[4], "scoreThreshold")) : 0;
    if (!(iou >= 0 && iou <= 1))
      throw Error(Code::kInvalidArgument, "nonMaxSuppression: iouThreshold is " + std::to_string(iou) + ", expected a value in [0, 1]");

    std::vector<Boxes> corners(static_cast<size_t>(batches));
    for (int64_t b = 0; b < batches; ++b) read_boxes(boxes.as<float>() + b * n * 4, n, corners[static_cast<size_t>(b)]);
    std::vector<std::vector<int64_t>> kept(static_cast<size_t>(batches * classes));
    context.pool.parallel_for(batches * classes, [&](int64_t task, int) {
      const float* s = scores.as<float>() + task * n;
      std::vector<int64_t> candidates;
      for (int64_t i = 0; i < n; ++i)
        if (!has_floor || s[i] > floor) candidates.push_back(i);
      suppress(corners[static_cast<size_t>(task / classes)], s, candidates, limit, iou, kept[static_cast<size_t>(task)]);
    });

    int64_t total = 0;
    for (const auto& list : kept) total += static_cast<int64_t>(list.size());
    resolve_output(context, outputs, 0, {total, 3});
    int64_t* out = outputs[0].as<int64_t>();
    for (int64_t task = 0; task < batches * classes; ++task)
      for (int64_t box : kept[static_cast<size_t>(task)]) {
        *out++ = task / classes;
        *out++ = task % classes;
        *out++ = box;
      }
  }

 private:
  void read_boxes(const float* p, int64_t n, Boxes& out) const {
    out.resize(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i, p += 4) {
      const auto k = static_cast<size_t>(i);
      if (centred_) {
        out.y0[k] = p[1] - p[3] / 2, out.y1[k] = p[1] + p[3] / 2;
        out.x0[k] = p[0] - p[2] / 2, out.x1[k] = p[0] + p[2] / 2;
      } else {
        out.y0[k] = std::min(p[0], p[2]), out.y1[k] = std::max(p[0], p[2]);
        out.x0[k] = std::min(p[1], p[3]), out.x1[k] = std::max(p[1], p[3]);
      }
      out.area[k] = (out.y1[k] - out.y0[k]) * (out.x1[k] - out.x0[k]);
    }
  }

  static void suppress(const Boxes& all, const float* scores, std::vector<int64_t>& candidates, int64_t limit, float iou, std::vector<int64_t>& kept) {
    std::sort(candidates.begin(), candidates.end(),
              [scores](int64_t a, int64_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
    const Cells by_x(all.x0, all.x1, all.area, candidates), by_y(all.y0, all.y1, all.area, candidates);
    const Cells& cells = by_x.count() >= by_y.count() ? by_x : by_y;
    // Those kept, cell by cell; each cell has room for all candidates that begin in it.
    std::vector<size_t> ends = cells.begins;
    Boxes best;
    best.resize(candidates.size());
    for (int64_t candidate : candidates) {
      if (static_cast<int64_t>(kept.size()) >= limit) break;
      const auto i = static_cast<size_t>(candidate);
      if (can_overlap(all.area[i])) {
        bool suppressed = false;
        for (size_t c = cells.first(i), last = cells.last(i); c <= last && !suppressed; ++c)
          suppressed = overlaps(best, cells.begins[c], ends[c], all.y0[i], all.x0[i], all.y1[i], all.x1[i], all.area[i], iou);
        if (suppressed) continue;
        const size_t at = ends[cells.home(i)]++;
        best.y0[at] = all.y0[i], best.x0[at] = all.x0[i], best.y1[at] = all.y1[i], best.x1[at] = all.x1[i];
        best.area[at] = all.area[i];
      }
      kept.push_back(candidate);
    }
  }

  // The shares of boxes without an area, or with one beyond all numbers, are never above a threshold.
  static bool can_overlap(float area) { return area > 0 && area < std::numeric_limits<float>::infinity(); }

  // The boxes along one axis, by the cell in which they begin. Cells are at least as wide as the widest box, so that
  // only boxes of few cells can overlap: detectors often set the boxes of each class apart.
  class Cells {
   public:
    Cells(const std::vector<float>& low, const std::vector<float>& high, const std::vector<float>& area, const std::vector<int64_t>& boxes)
        : low_(low), high_(high) {
      constexpr double kMost = 1024;
      double end = -std::numeric_limits<double>::infinity();
      for (int64_t box : boxes) {
        const auto i = static_cast<size_t>(box);
        if (!can_overlap(area[i])) continue;
        start_ = std::min<double>(start_, low[i]), end = std::max<double>(end, low[i]);
        widest_ = std::max(widest_, static_cast<double>(high[i]) - low[i]);
      }
      const double cells = widest_ > 0 ? std::clamp((end - start_) / widest_, 1.0, kMost) : 1;
      per_unit_ = end > start_ ? cells / (end - start_) : 0;
      begins.assign(static_cast<size_t>(cells) + 2, 0);
      for (int64_t box : boxes)
        if (can_overlap(area[static_cast<size_t>(box)])) ++begins[home(static_cast<size_t>(box)) + 1];
      for (size_t c = 1; c < begins.size(); ++c) begins[c] += begins[c - 1];
    }
    size_t count() const { return begins.size() - 1; }
    size_t home(size_t box) const { return cell(low_[box]); }
    // The cells in which boxes that overlap this one may begin; one more, for rounding.
    size_t first(size_t box) const {
      const size_t c = cell(low_[box] - widest_);
      return c - (c > 0);
    }
    size_t last(size_t box) const { return cell(high_[box]); }

    std::vector<size_t> begins;  // where each cell's boxes begin, and the end

   private:
    size_t cell(double x) const {
      return static_cast<size_t>(std::clamp((x - start_) * per_unit_, 0.0, static_cast<double>(begins.size() - 2)));
    }
    const std::vector<float>&low_, &high_;
    double start_ = std::numeric_limits<double>::infinity(), widest_ = 0, per_unit_ = 0;
  };

  // Whether the box overlaps any of these kept by more than the threshold; in blocks that vectorise.
  static bool overlaps(const Boxes& kept, size_t begin, size_t end, float y0, float x0, float y1, float x1, float area, float iou) {
    constexpr size_t kBlock = 32;
    for (size_t first = begin; first < end; first += kBlock) {
      const size_t n = std::min(kBlock, end - first);
      const float *ky0 = &kept.y0[first], *kx0 = &kept.x0[first], *ky1 = &kept.y1[first], *kx1 = &kept.x1[first], *ka = &kept.area[first];
      int hit = 0;
      for (size_t i = 0; i < n; ++i) {
        const float height = (y1 < ky1[i] ? y1 : ky1[i]) - (y0 > ky0[i] ? y0 : ky0[i]);
        const float width = (x1 < kx1[i] ? x1 : kx1[i]) - (x0 > kx0[i] ? x0 : kx0[i]);
        const float common = height * width;
        const float ratio = common / (area + ka[i] - common);
        hit |= static_cast<int>(height > 0) & static_cast<int>(width > 0) & static_cast<int>(area > 0) & static_cast<int>(ka[i] > 0) &
               static_cast<int>(ratio > iou);
      }
      if (hit) return true;
    }
    return false;
  }

  bool centred_;
};

}  // namespace

void register_non_max_suppression() { register_kernel("nonMaxSuppression", adapted<make<NonMaxSuppression>, kDenseNumbers,
                                               Signature{.min_inputs = 2, .max_inputs = 5, .same_inputs = 0b10, .same_outputs = 0, .int64_outputs = 1, .sizes_outputs = true}>); }

}  // namespace tw
