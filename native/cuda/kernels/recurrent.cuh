// Recurrent layers: the inputs of all steps are multiplied at once, then one block steps through each sequence.

constexpr int project_rows = 64, project_columns = 64, project_depth = 16;  // tile of project_tile, for 256 threads

// One tile of products of m rows with n columns of `depth` elements each: 16 sums to a thread.
template <typename Real, typename LoadX, typename LoadW, typename Store>
TW_DEVICE void project_tile(i32 m, i32 n, i32 depth, LoadX load_x, LoadW load_w, Store store) {
  __shared__ Real x_tile[project_depth][project_rows + 1], w_tile[project_depth][project_columns + 1];
  const i32 first_row = i32(blockIdx.x) * project_rows;
  const i32 first_column = i32(blockIdx.y) * project_columns;
  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  Real acc[4][4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) acc[i][j] = 0;
  for (i32 base = 0; base < depth; base += project_depth) {
#pragma unroll
    for (int step = 0; step < project_rows; step += 16) {
      const int k = tx, row = ty + step;
      const bool inside = base + k < depth;
      x_tile[k][row] = inside && first_row + row < m ? load_x(first_row + row, base + k) : Real(0);
      w_tile[k][row] = inside && first_column + row < n ? load_w(first_column + row, base + k) : Real(0);
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < project_depth; ++k) {
      Real u[4], v[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        u[i] = x_tile[k][ty + 16 * i];
        v[i] = w_tile[k][tx + 16 * i];
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) acc[i][j] += u[i] * v[j];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const i32 row = first_row + ty + 16 * i;
      const i32 column = first_column + tx + 16 * j;
      if (row < m && column < n) store(row, column, acc[i][j]);
    }
}

// sums[row] = Σ load(row, k) · vector[k] for rows [0, count): a warp to several rows at a time, so that many loads are
// under way at once. `load` gives `Width` elements from k on.
template <int Threads, int Width, typename Real, typename Load>
TW_DEVICE void multiply_rows(i32 count, i32 size, const Real* vector, Real* sums, Load load) {
  constexpr int rows = 8;
  for (i32 first = warp_index() * rows; first < count; first += Threads / warp_size * rows) {
    Real acc[rows] = {};
    for (i32 k = lane_index() * Width; k < size; k += warp_size * Width) {
      decltype(load(0, 0)) weights[rows];
#pragma unroll
      for (int r = 0; r < rows; ++r) weights[r] = load(min(first + r, count - 1), k);
#pragma unroll
      for (int i = 0; i < Width; ++i) {
        const Real v = vector[k + i];
#pragma unroll
        for (int r = 0; r < rows; ++r) acc[r] += convert<Real>(weights[r].v[i]) * v;
      }
    }
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      const Real sum = warp_reduce(acc[r], Sum());
      if (lane_index() == r && first + r < count) sums[first + r] = sum;
    }
  }
}
