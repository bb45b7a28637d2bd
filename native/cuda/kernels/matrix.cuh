// Gauss–Jordan elimination with partial pivoting by one block, in place: `a` has n rows of `columns` elements.

// The determinant of the left square; 0 when it is singular, which leaves the rest undefined.
template <int Threads, typename Real>
TW_DEVICE Real eliminate(Real* a, i32 n, i32 columns) {
  __shared__ i32 pivot;
  __shared__ Real value;
  Real determinant = 1;
  for (i32 k = 0; k < n; ++k) {
    __syncthreads();
    if (threadIdx.x == 0) {
      pivot = k;
      for (i32 i = k + 1; i < n; ++i)
        if (scalar_abs(a[i64(i) * columns + k]) > scalar_abs(a[i64(pivot) * columns + k])) pivot = i;
      value = a[i64(pivot) * columns + k];
    }
    __syncthreads();
    if (value == Real(0)) return 0;
    determinant *= pivot == k ? value : -value;
    for (i32 j = k + threadIdx.x; j < columns; j += Threads) {
      const Real moved = a[i64(pivot) * columns + j];
      a[i64(pivot) * columns + j] = a[i64(k) * columns + j];
      a[i64(k) * columns + j] = moved / value;
    }
    __syncthreads();
    // Column k stays as it is until all have read it; it is never read again.
    for (i64 e = threadIdx.x; e < i64(n) * (columns - k - 1); e += Threads) {
      const i32 i = static_cast<i32>(e / (columns - k - 1)), j = k + 1 + static_cast<i32>(e % (columns - k - 1));
      if (i != k) a[i64(i) * columns + j] -= a[i64(i) * columns + k] * a[i64(k) * columns + j];
    }
  }
  __syncthreads();
  return determinant;
}
