// Bulk tensor copies. Loads happen when nothing else can go on, stores when they are waited for: as late as may be, so
// that a missing wait shows.
#include <algorithm>
#include <array>
#include <cstring>

#include "block.h"
#include "results.h"
#include "tensor_map.h"

using namespace tw_emulator;

namespace {

// A piece of the box: `bytes` of shared memory at `offset`, unswizzled; null outside of the tensor.
template <typename Visit>
void for_each_row_of_box(const TensorMap& map, const std::array<int, 5>& at, Visit visit) {
  std::array<uint32_t, 5> counts{1, 1, 1, 1, 1};
  for (int i = 0; i < map.rank; ++i) counts[i] = (map.box[i] + map.steps[i] - 1u) / map.steps[i];
  size_t offset = 0;
  const size_t bytes = size_t{map.element_bytes} * map.box[0];
  std::array<uint32_t, 5> i{};
  for (i[4] = 0; i[4] < counts[4]; ++i[4])
    for (i[3] = 0; i[3] < counts[3]; ++i[3])
      for (i[2] = 0; i[2] < counts[2]; ++i[2])
        for (i[1] = 0; i[1] < counts[1]; ++i[1]) {
          bool inside = true;
          uint64_t address = map.address;
          for (int d = 1; d < map.rank; ++d) {
            const int64_t c = at[d] + int64_t{i[d]} * map.steps[d];
            inside = inside && c >= 0 && c < map.dims[d];
            address += static_cast<uint64_t>(c) * map.strides[d - 1];
          }
          visit(offset, inside ? address : 0, at[0]);
          offset += bytes;
        }
}

template <typename Visit>
void for_each_pixel(const TensorMap& map, const std::array<int, 5>& at, const std::array<int, 3>& taps, Visit visit) {
  const int spatial = map.rank - 2;
  std::array<int64_t, 5> c{};
  std::copy(at.begin(), at.end(), c.begin());
  const size_t bytes = size_t{map.element_bytes} * map.box[0];
  for (int pixel = 0; pixel < map.box[1]; ++pixel) {
    bool inside = c[map.rank - 1] >= 0 && c[map.rank - 1] < map.dims[map.rank - 1];
    uint64_t address = map.address + static_cast<uint64_t>(c[map.rank - 1]) * map.strides[map.rank - 2];
    for (int s = 0; s < spatial; ++s) {
      const int64_t x = c[s + 1] + taps[s];
      inside = inside && x >= 0 && x < map.dims[s + 1];
      address += static_cast<uint64_t>(x) * map.strides[s];
    }
    visit(bytes * static_cast<size_t>(pixel), inside ? address : 0, at[0]);
    int s = 0;
    for (; s < spatial; ++s) {
      c[s + 1] += map.steps[s + 1];
      if (c[s + 1] < int64_t{map.dims[s + 1]} + map.upper[s]) break;
      c[s + 1] = map.lower[s];
    }
    if (s == spatial) ++c[map.rank - 1];
  }
}

size_t box_bytes(const TensorMap& map) {
  size_t bytes = size_t{map.element_bytes} * map.box[0];
  if (map.is_im2col) return bytes * map.box[1];
  for (int i = 1; i < map.rank; ++i) bytes *= (map.box[i] + map.steps[i] - 1u) / map.steps[i];
  return bytes;
}

// Where byte `offset` behind a shared address lies: chunks of 16 bytes change places by bits 7 to 9 of the address.
size_t swizzled(const TensorMap& map, unsigned address, size_t offset) {
  const size_t a = address + offset, mask = (size_t{1} << map.swizzle) - 1;
  return (a ^ ((a >> 7 & mask) << 4)) - address;
}

// Copies one row of the innermost dimension between shared memory and the tensor, 16 bytes at a time.
void copy_row(const TensorMap& map, char* shared, unsigned address, size_t offset, uint64_t row, int first, bool is_load) {
  const size_t element = map.element_bytes, bytes = element * map.box[0];
  for (size_t b = 0; b < bytes; b += 16) {
    char* chunk = shared + swizzled(map, address, offset + b);
    for (size_t e = 0; e < 16; e += element) {
      const int64_t c = first + static_cast<int64_t>((b + e) / element);
      const bool inside = row && c >= 0 && c < map.dims[0];
      auto* global = reinterpret_cast<char*>(row + static_cast<uint64_t>(c) * element);
      if (is_load && inside) std::memcpy(chunk + e, global, element);
      else if (is_load) std::memset(chunk + e, 0, element);
      else if (inside) std::memcpy(global, chunk + e, element);
    }
  }
}

struct Transfer {
  TensorMap map;
  std::array<int, 5> at{};
  std::array<int, 3> taps{};
  char* shared;
  unsigned address;  // as swizzling sees it

  void run(bool is_load) const {
    const auto visit = [&](size_t offset, uint64_t row, int first) {
      copy_row(map, shared, address, offset, row, first, is_load);
    };
    if (map.is_im2col) for_each_pixel(map, at, taps, visit);
    else for_each_row_of_box(map, at, visit);
  }
};

Transfer make_transfer(const void* map, const void* shared, int rank, const int* coordinates, const unsigned short* taps) {
  Transfer t;
  std::memcpy(&t.map, map, sizeof t.map);
  if (reinterpret_cast<uintptr_t>(map) % 64) fail(kMisalignedAddress, "a tensor map is not aligned to 64 bytes");
  if (t.map.magic != TensorMap::kMagic) fail(kLaunchFailed, "used a tensor map that was not encoded");
  if (t.map.rank != rank) fail(kLaunchFailed, "used a tensor map of another rank");
  if ((taps != nullptr) != (t.map.is_im2col != 0)) fail(kLaunchFailed, "used a tiled tensor map as im2col or the reverse");
  if (!is_shared(shared, box_bytes(t.map))) fail(kIllegalAddress, "a box lies outside of shared memory");
  t.shared = static_cast<char*>(const_cast<void*>(shared));
  t.address = shared_address_of(shared);
  if (t.address % 128) fail(kMisalignedAddress, "a box in shared memory is not aligned to 128 bytes");
  std::copy_n(coordinates, rank, t.at.begin());
  if (taps) std::copy_n(taps, rank - 2, t.taps.begin());
  return t;
}

}  // namespace

void tw_emulator::finish_stores(Thread& thread, unsigned before_group) {
  const auto rest = std::find_if(thread.stores.begin(), thread.stores.end(),
                                 [&](const BulkStore& store) { return store.group >= before_group; });
  std::for_each(thread.stores.begin(), rest, [](const BulkStore& store) { store.finish(); });
  thread.stores.erase(thread.stores.begin(), rest);
}

extern "C" {

void tw_emulator_tma_load(void* shared, const void* map, unsigned long long* barrier, int rank, const int* coordinates,
                          const unsigned short* offsets, unsigned blocks) {
  const Transfer transfer = make_transfer(map, shared, rank, coordinates, offsets);
  const size_t bytes = box_bytes(transfer.map);
  if (!is_shared(barrier, 8)) fail(kIllegalAddress, "a load completes on a barrier outside of shared memory");
  const unsigned own = 1u << self().block->rank;
  for (unsigned rest = blocks ? blocks : own; rest; rest &= rest - 1) {
    const auto to = static_cast<unsigned>(__builtin_ctz(rest));
    const bool is_own = 1u << to == own;
    Transfer part = transfer;
    if (!is_own) part.shared = static_cast<char*>(tw_emulator_cluster_pointer(shared, to));
    auto* done = is_own ? barrier : static_cast<unsigned long long*>(tw_emulator_cluster_pointer(barrier, to));
    std::memset(part.shared, 0xFF, bytes);
    defer([part, done, bytes] {
      part.run(true);
      complete_bytes(done, static_cast<unsigned>(bytes));
    });
  }
}

void tw_emulator_tma_store(const void* map, const void* shared, int rank, const int* coordinates) {
  Thread& thread = self();
  const Transfer transfer = make_transfer(map, shared, rank, coordinates, nullptr);
  thread.stores.push_back({[transfer] { transfer.run(false); }, thread.store_group});
}

void tw_emulator_tma_store_commit() { ++self().store_group; }

void tw_emulator_tma_store_wait(int pending_groups) {
  Thread& thread = self();
  finish_stores(thread, thread.store_group - std::min(thread.store_group, static_cast<unsigned>(pending_groups)));
}

}  // extern "C"
