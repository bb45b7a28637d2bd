// Kernel `map` {tape, results}: an element-wise program over any number of broadcast operands, whatever their layout.
#include <algorithm>
#include <cstring>

#include "base/convert.h"
#include "base/kernel.h"
#include "kernels/loop_space.h"
#include "tape/tape.h"

namespace tw {
namespace {

constexpr int kMaxTensors = 64;
// Rows shorter than this are gathered into packed tiles: a run of the loops costs as much as several elements.
constexpr int64_t kShortRow = 16;
constexpr int64_t kTile = 512;
// Work (elements times instructions) a thread should have at least before another one is woken.
constexpr int64_t kGrainWork = 65536;

using Space = LoopSpace<kMaxTensors>;

std::byte* at(const Tensor& t, int64_t offset) { return t.as<std::byte>() + offset * info(t.dtype).bits / 8; }

// What a packed tile of this dtype holds: sub-byte elements take a byte each.
DType tile_dtype(DType t) {
  switch (t) {
    case DType::kInt2:
    case DType::kInt4:
      return DType::kInt8;
    case DType::kUInt2:
    case DType::kUInt4:
      return DType::kUInt8;
    case DType::kFloat4E2M1:
      return DType::kFloat32;
    default:
      return t;
  }
}

class Map final : public Kernel {
 public:
  explicit Map(const StepInfo& step)
      : tape_(Tape::parse(step.attributes.strings("tape"), step.attributes.integers("results"))),
        grain_(std::clamp<int64_t>(kGrainWork / std::max(1, tape_->instructions()), 2048, 32768)) {
    if (step.outputs.empty() || step.outputs.size() + step.inputs.size() > kMaxTensors)
      throw Error(Code::kLimitExceeded, "a map has " + std::to_string(step.inputs.size()) + " inputs and " +
                                            std::to_string(step.outputs.size()) + " outputs; at least one output and " +
                                            std::to_string(kMaxTensors) + " in all are possible");
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    if (inputs.size() < static_cast<size_t>(tape_->operands()))
      throw Error(Code::kInvalidPlan, "the tape of a map reads " + std::to_string(tape_->operands()) + " operands, it has " +
                                          std::to_string(inputs.size()));
    const Tensor& shape = outputs[0];
    const auto fits = [&](const Tensor& t, bool broadcasts) {
      if (t.rank < 0 || t.rank != shape.rank) return false;
      for (int i = 0; i < t.rank; ++i)
        if (t.dims[i] != shape.dims[i] && !(broadcasts && t.dims[i] == 1)) return false;
      return true;
    };
    if (!std::all_of(inputs.begin(), inputs.end(), [&](const Tensor& t) { return fits(t, true); }) ||
        !std::all_of(outputs.begin(), outputs.end(), [&](const Tensor& t) { return fits(t, false); }))
      throw Error(Code::kShapeMismatch, "the tensors of a map differ in shape");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& shape = outputs[0];
    const int64_t total = shape.count();
    if (total == 0) return;
    const Tensor* tensors[kMaxTensors];
    int n = 0;
    bool sub_byte = false;
    for (const Tensor& t : outputs) tensors[n++] = &t, sub_byte |= is_sub_byte(t.dtype);
    for (const Tensor& t : inputs) tensors[n++] = &t, sub_byte |= is_sub_byte(t.dtype);
    const Space space({shape.dims, static_cast<size_t>(shape.rank)}, {tensors, static_cast<size_t>(n)});

    const int inner = space.rank - 1;
    if (space.rank > 1 && (sub_byte || space.dims[inner] < kShortRow))
      return run_tiles(context, space, tensors, outputs.size());
    run_rows(context, space, tensors, outputs.size());
  }

 private:
  // The two innermost axes are one call of the tape; longer ones are cut into pieces for balance.
  void run_rows(KernelContext& context, const Space& space, const Tensor* const* tensors, size_t outputs) const {
    const int inner = space.rank - 1, outer = std::max(0, space.rank - 2);
    const int64_t length = space.dims[inner], rows = space.rank > 1 ? space.dims[inner - 1] : 1;
    // Pieces of rows, or, where rows are long, of elements: a multiple of the tile, so that packed types split at
    // bytes.
    const int64_t piece = length > 2 * grain_ ? grain_ / kTile * kTile : length;
    const int64_t pieces = (length + piece - 1) / piece;
    const int64_t rows_each = std::clamp<int64_t>(grain_ / piece, 1, rows);
    const int64_t bands = (rows + rows_each - 1) / rows_each;

    const int64_t tasks = space.count(outer) * bands * pieces;
    const int64_t tasks_each = std::max<int64_t>(1, grain_ / (piece * rows_each));
    context.pool.parallel_ranges(tasks, tasks_each, [&](int64_t begin, int64_t end, int) {
      TapeOperand operands[kMaxTensors];
      TapeResult results[kMaxTensors];
      int64_t offset[kMaxTensors], row_strides[kMaxTensors];
      const size_t inputs = static_cast<size_t>(space.tensors) - outputs;
      for (int t = 0; t < space.tensors; ++t) row_strides[t] = space.rank > 1 ? space.strides[t][inner - 1] : 0;
      for (int64_t task = begin; task < end; ++task) {
        const int64_t p = task % pieces, band = task / pieces % bands;
        const int64_t row = band * rows_each, first = p * piece;
        space.offsets(task / pieces / bands, outer, offset);
        for (int t = 0; t < space.tensors; ++t) {
          const int64_t stride = space.strides[t][inner];
          std::byte* data = at(*tensors[t], offset[t] + row * row_strides[t] + first * stride);
          if (t < static_cast<int>(outputs))
            results[t] = {data, tensors[t]->dtype, stride};
          else
            operands[t - static_cast<int>(outputs)] = {data, tensors[t]->dtype, stride};
        }
        tape_->run_rows(std::min(rows_each, rows - row), std::min(piece, length - first), {operands, inputs},
                        {results, outputs}, {row_strides + outputs, inputs}, {row_strides, outputs});
      }
    });
  }

  // Every operand that does not lie dense in loop order is gathered tile by tile, every such result scattered.
  void run_tiles(KernelContext& context, const Space& space, const Tensor* const* tensors, size_t outputs) const {
    const int64_t total = space.count(space.rank);
    enum class Access { kDense, kSingle, kGather } access[kMaxTensors];
    for (int t = 0; t < space.tensors; ++t) {
      bool dense = true, single = true;
      int64_t expected = 1;
      for (int i = space.rank - 1; i >= 0; --i) {
        dense &= space.strides[t][i] == expected;
        single &= space.strides[t][i] == 0;
        expected *= space.dims[i];
      }
      access[t] = dense ? Access::kDense : single ? Access::kSingle : Access::kGather;
      if (t < static_cast<int>(outputs) && !dense && is_sub_byte(tensors[t]->dtype))
        throw Error(Code::kUnsupported,
                    "a map writes " + std::string(info(tensors[t]->dtype).name) + " in an order that is not its own");
    }
    const int64_t tiles = (total + kTile - 1) / kTile;
    context.pool.parallel_ranges(tiles, std::max<int64_t>(1, grain_ / kTile), [&](int64_t begin, int64_t end, int) {
      const auto memory = std::make_unique<std::byte[]>(static_cast<size_t>(space.tensors) * kTile * sizeof(double));
      TapeOperand operands[kMaxTensors];
      TapeResult results[kMaxTensors];
      for (int64_t tile = begin; tile < end; ++tile) {
        const int64_t first = tile * kTile, n = std::min(kTile, total - first);
        for (int t = 0; t < space.tensors; ++t) {
          const Tensor& tensor = *tensors[t];
          std::byte* packed = memory.get() + static_cast<size_t>(t) * kTile * sizeof(double);
          const bool gathers = access[t] == Access::kGather;
          std::byte* data = access[t] == Access::kDense ? at(tensor, first) : gathers ? packed : at(tensor, 0);
          if (t < static_cast<int>(outputs)) {
            results[t] = {data, tensor.dtype, 1};
          } else {
            if (gathers) gather(space, t, tensor, first, n, packed);
            operands[t - static_cast<int>(outputs)] = {data, gathers ? tile_dtype(tensor.dtype) : tensor.dtype,
                                                       access[t] == Access::kSingle ? 0 : 1};
          }
        }
        tape_->run(n, {operands, static_cast<size_t>(space.tensors) - outputs}, {results, outputs});
        for (size_t t = 0; t < outputs; ++t)
          if (access[t] == Access::kGather)
            scatter(space, static_cast<int>(t), *tensors[t], first, n, static_cast<std::byte*>(results[t].data));
      }
    });
  }

  // Calls fn(i, offset) for the elements of a tile, i counting from 0.
  template <typename F>
  static void walk(const Space& space, int t, int64_t first, int64_t n, F fn) {
    int64_t index[kMaxRank], offset = 0;
    for (int i = space.rank - 1; i >= 0; --i) {
      index[i] = first % space.dims[i];
      first /= space.dims[i];
      offset += index[i] * space.strides[t][i];
    }
    const int inner = space.rank - 1;
    const int64_t step = space.strides[t][inner];
    for (int64_t i = 0; i < n;) {
      const int64_t run = std::min(space.dims[inner] - index[inner], n - i);
      for (int64_t k = 0; k < run; ++k) fn(i + k, offset + k * step);
      i += run;
      offset += run * step;
      index[inner] += run;
      for (int a = inner; a > 0 && index[a] == space.dims[a]; --a) {
        offset += space.strides[t][a - 1] - index[a] * space.strides[t][a];
        index[a] = 0;
        ++index[a - 1];
      }
    }
  }

  static void gather(const Space& space, int t, const Tensor& tensor, int64_t first, int64_t n, std::byte* to) {
    const auto copy = [&]<typename T>(T) {
      const T* from = tensor.as<const T>();
      walk(space, t, first, n, [&](int64_t i, int64_t offset) { reinterpret_cast<T*>(to)[i] = from[offset]; });
    };
    const uint8_t* codes = tensor.as<const uint8_t>();
    const auto unpack = [&](auto decode) {
      walk(space, t, first, n, [&](int64_t i, int64_t offset) { decode(i, offset); });
    };
    auto* bytes = reinterpret_cast<uint8_t*>(to);
    switch (tensor.dtype) {
      case DType::kUInt2:
        return unpack([&](int64_t i, int64_t o) { bytes[i] = static_cast<uint8_t>(get_packed<2>(codes, o)); });
      case DType::kUInt4:
        return unpack([&](int64_t i, int64_t o) { bytes[i] = static_cast<uint8_t>(get_packed<4>(codes, o)); });
      case DType::kInt2:
        return unpack(
            [&](int64_t i, int64_t o) { bytes[i] = static_cast<uint8_t>((get_packed<2>(codes, o) ^ 2) - 2); });
      case DType::kInt4:
        return unpack(
            [&](int64_t i, int64_t o) { bytes[i] = static_cast<uint8_t>((get_packed<4>(codes, o) ^ 8) - 8); });
      case DType::kFloat4E2M1:
        return unpack([&](int64_t i, int64_t o) {
          reinterpret_cast<float*>(to)[i] = decode_small_float<kE2M1Format>(get_packed<4>(codes, o));
        });
      default:
        break;
    }
    switch (info(tensor.dtype).bits) {
      case 8:
        return copy(uint8_t{});
      case 16:
        return copy(uint16_t{});
      case 32:
        return copy(uint32_t{});
      default:
        return copy(uint64_t{});
    }
  }

  static void scatter(const Space& space, int t, const Tensor& tensor, int64_t first, int64_t n,
                      const std::byte* from) {
    const auto copy = [&]<typename T>(T) {
      T* to = tensor.as<T>();
      walk(space, t, first, n, [&](int64_t i, int64_t offset) { to[offset] = reinterpret_cast<const T*>(from)[i]; });
    };
    switch (info(tensor.dtype).bits) {
      case 8:
        return copy(uint8_t{});
      case 16:
        return copy(uint16_t{});
      case 32:
        return copy(uint32_t{});
      default:
        return copy(uint64_t{});
    }
  }

  std::shared_ptr<const Tape> tape_;
  int64_t grain_;  // elements
};

}  // namespace

void register_map() {
  register_kernel("map", [](const StepInfo& step) -> std::unique_ptr<Kernel> { return std::make_unique<Map>(step); });
}

}  // namespace tw
