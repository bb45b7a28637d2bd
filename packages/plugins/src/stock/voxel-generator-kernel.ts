/** The kernels of VoxelGeneratorPlugin. */

import { scratchIntegers } from './scratch-memory.js';

/**
 * Nothing depends on the order in which threads run. A cell's first point is the minimum of its points; counting first
 * points before a point numbers the voxels. Each voxel then gets a piece of a list for all of its points, which come in
 * any order, and its warp takes those with the least indices, sorted.
 */
export const source: string = `${scratchIntegers}
constexpr int chunk = 1024;
constexpr i32 none = 0x7FFFFFFF;

struct Range {
  float x, y, z, end_x, end_y, end_z, size_x, size_y, size_z;
  i32 width, height;
};

__global__ void clear_cells(Integers first, Integers counts, Integers totals, Integers used, i64 cells, i32 frames) {
  const i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < cells) {
    first[i] = none;
    counts[i] = 0;
  }
  if (i < frames) totals[i] = used[i] = 0;
}

// The cell of every point within its frame; -1: outside of the range, or no point.
__global__ void find_cells(const float* points, const i32* sizes, Integers cell_of, Integers first, Integers counts,
                           i64 all, i32 most, i32 channels, Range range) {
  const i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= all) return;
  const i64 frame = i / most;
  const i32 point = static_cast<i32>(i - frame * most);
  i32 cell = -1;
  if (point < sizes[frame]) {
    const float x = points[i * channels], y = points[i * channels + 1], z = points[i * channels + 2];
    if (x >= range.x && x < range.end_x && y >= range.y && y < range.end_y && z >= range.z && z < range.end_z) {
      const i32 u = static_cast<i32>(floorf((x - range.x) / range.size_x));
      const i32 v = static_cast<i32>(floorf((y - range.y) / range.size_y));
      // The range may end within a pillar that is none any more.
      if (u < range.width && v < range.height) {
        cell = v * range.width + u;
        const i64 at = frame * range.width * range.height + cell;
        atomicMin(first + at, point);
        atomicAdd(counts + at, 1);
      }
    }
  }
  cell_of[i] = cell;
}

// Blocks of chunk threads; each looks at as many points of a frame.
struct Chunk {
  i32 point, cell;
  i64 frame;
  bool is_first;
};

TW_DEVICE Chunk look_at(const i32* cell_of, const i32* first, i32 most, i32 cells) {
  const i32 chunks = ceil_div(most, chunk);
  Chunk own;
  own.frame = static_cast<i32>(blockIdx.x) / chunks;
  own.point = static_cast<i32>(blockIdx.x) % chunks * chunk + static_cast<i32>(threadIdx.x);
  own.cell = own.point < most ? cell_of[own.frame * most + own.point] : -1;
  own.is_first = own.cell >= 0 && first[own.frame * cells + own.cell] == own.point;
  return own;
}

__global__ void count_first_points(Integers cell_of, Integers first, Integers chunk_counts, i32 most, i32 cells) {
  const Chunk own = look_at(cell_of, first, most, cells);
  const i32 count = block_reduce<chunk>(own.is_first ? 1 : 0, Sum());
  if (threadIdx.x == 0) chunk_counts[blockIdx.x] = count;
}

// Voxels in the order of their first points. pieces[2 i] is where voxel i's list begins, pieces[2 i + 1] its size.
__global__ void number_voxels(Integers cell_of, Integers first, Integers counts, Integers chunk_counts, Integers voxels,
                              Integers pieces, Integers totals, Integers used, i32* coordinates, i32 most, i32 cells,
                              i32 width, i32 room) {
  __shared__ i32 warp_counts[chunk / warp_size];
  const Chunk own = look_at(cell_of, first, most, cells);
  const i32 chunks = ceil_div(most, chunk), before = static_cast<i32>(blockIdx.x) % chunks;
  i32 earlier = 0;
  for (i32 i = threadIdx.x; i < before; i += chunk) earlier += chunk_counts[blockIdx.x - before + i];
  const i32 base = block_reduce<chunk>(earlier, Sum());
  const u32 votes = warp_ballot(own.is_first);
  if (lane_index() == 0) warp_counts[warp_index()] = __popc(votes);
  __syncthreads();
  i32 number = base + __popc(votes & ((1u << lane_index()) - 1));
  i32 total = base;
  for (int warp = 0; warp < chunk / warp_size; ++warp) {
    if (warp < warp_index()) number += warp_counts[warp];
    total += warp_counts[warp];
  }
  if (threadIdx.x == 0 && before == chunks - 1) totals[own.frame] = minimum(total, room);
  if (!own.is_first) return;
  const i64 cell = own.frame * cells + own.cell, voxel = own.frame * room + number;
  voxels[cell] = number < room ? number : -1;
  if (number >= room) return;
  const i32 size = counts[cell];
  pieces[2 * voxel] = atomicAdd(used + own.frame, size);
  pieces[2 * voxel + 1] = size;
  const i32 place[4] = {static_cast<i32>(own.frame), 0, own.cell / width, own.cell % width};
#pragma unroll
  for (int i = 0; i < 4; ++i) coordinates[4 * voxel + i] = place[i];
}

// The points of each voxel, in any order.
__global__ void list_points(Integers cell_of, Integers voxels, Integers counts, Integers pieces, Integers list, i64 all,
                            i32 most, i32 cells, i32 room) {
  const i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= all) return;
  const i32 cell = cell_of[i];
  if (cell < 0) return;
  const i64 frame = i / most;
  const i32 voxel = voxels[frame * cells + cell];
  if (voxel < 0) return;
  const i32 place = atomicAdd(counts + frame * cells + cell, -1) - 1;
  list[frame * most + pieces[2 * (frame * room + voxel)] + place] = static_cast<i32>(i - frame * most);
}

// The most points of a list that are kept: all up to the limit-th smallest, the result.
TW_DEVICE i32 last_kept(const i32* list, i32 size, i32 limit, i32 most) {
  if (size <= limit) return none;
  i32 low = 0, high = most - 1;
  while (low < high) {
    const i32 middle = low + (high - low) / 2;
    i32 count = 0;
    for (i32 i = lane_index(); i < size; i += warp_size) count += list[i] <= middle ? 1 : 0;
    if (warp_reduce(count, Sum()) >= limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

// A warp a voxel: its points in their order, and what the network wants to know of them.
template <int Warps>
__global__ void describe_points(const float* points, Integers list, Integers pieces, Integers totals, float* features,
                                i32* coordinates, i32* numbers, i64 all, i32 most, i32 channels, i32 room, i32 limit,
                                i32 wanted, Range range) {
  TW_SHARED_BYTES(shared);
  const i64 voxel = static_cast<i64>(blockIdx.x) * Warps + warp_index();
  if (voxel >= all) return;
  const int lane = lane_index();
  const i64 frame = voxel / room;
  float* const result = features + voxel * limit * wanted;
  if (voxel == frame * room && lane == 0) numbers[frame] = totals[frame];
  if (voxel - frame * room >= totals[frame]) {
    for (i32 i = lane; i < limit * wanted; i += warp_size) result[i] = 0.0f;
    if (lane < 4) coordinates[4 * voxel + lane] = 0;
    return;
  }
  i32* const found = reinterpret_cast<i32*>(shared) + warp_index() * 2 * limit;
  i32* const sorted = found + limit;
  const i32* const own = list + frame * most + pieces[2 * voxel];
  const i32 size = pieces[2 * voxel + 1], last = last_kept(own, size, limit, most);
  i32 count = 0;
  for (i32 first = 0; first < size; first += warp_size) {
    const i32 point = first + lane < size ? own[first + lane] : none;
    const bool kept = first + lane < size && point <= last;
    const u32 votes = warp_ballot(kept);
    if (kept) found[count + __popc(votes & ((1u << lane) - 1))] = point;
    count += __popc(votes);
  }
  __syncwarp();
  const float* const cloud = points + frame * most * channels;
  float x = 0.0f, y = 0.0f, z = 0.0f;
  for (i32 i = lane; i < count; i += warp_size) {
    i32 rank = 0;
    for (i32 j = 0; j < count; ++j) rank += found[j] < found[i] ? 1 : 0;
    sorted[rank] = found[i];
  }
  __syncwarp();
  for (i32 i = lane; i < count; i += warp_size) {
    const float* const point = cloud + static_cast<i64>(sorted[i]) * channels;
    x += point[0];
    y += point[1];
    z += point[2];
  }
  const float mean[3] = {warp_reduce(x, Sum()) / count, warp_reduce(y, Sum()) / count, warp_reduce(z, Sum()) / count};
  const float center[3] = {range.size_x / 2 + coordinates[4 * voxel + 3] * range.size_x + range.x,
                           range.size_y / 2 + coordinates[4 * voxel + 2] * range.size_y + range.y,
                           range.size_z / 2 + range.z};
  for (i32 i = lane; i < limit * wanted; i += warp_size) {
    const i32 place = i / wanted, feature = i % wanted;
    float value = 0.0f;
    if (place < count) {
      const float* const point = cloud + static_cast<i64>(sorted[place]) * channels;
      const i32 axis = feature < channels ? 0 : (feature - channels) % 3;
      const float reference = axis == 0 ? (feature < channels + 3 ? mean[0] : center[0])
                              : axis == 1 ? (feature < channels + 3 ? mean[1] : center[1])
                                          : (feature < channels + 3 ? mean[2] : center[2]);
      value = feature < channels ? point[feature] : point[axis] - reference;
    }
    result[i] = value;
  }
}
`;
