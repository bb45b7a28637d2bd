// Where the extreme element of a row is: an operation for reduce.cuh. NaN is more extreme than every number; of equals
// the first counts, or the last.

// X elements, compared as C.
template <typename X, typename C, bool Largest, bool Last>
struct ExtremeOperation {
  struct Acc {
    C value;
    i32 column;  // -1: nothing seen yet
  };
  TW_DEVICE static Acc identity() { return {C(0), -1}; }
  template <typename Index>
  TW_DEVICE static Acc lift(X x, Index column) {
    return {convert<C>(x), static_cast<i32>(column)};
  }
  TW_DEVICE static Acc combine(const Acc& a, const Acc& b) {
    const bool earlier = a.column < b.column;
    bool take_b = Last ? earlier : !earlier;  // of equals
    if constexpr (is_float<C>) {
      const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
      if (a_nan || b_nan) take_b = a_nan && b_nan ? take_b : b_nan;
      else if (a.value != b.value) take_b = Largest ? b.value > a.value : b.value < a.value;
    } else {
      if (a.value != b.value) take_b = Largest ? b.value > a.value : b.value < a.value;
    }
    if (a.column < 0) take_b = true;
    if (b.column < 0) take_b = false;
    return take_b ? b : a;
  }
  TW_DEVICE static Acc exchange(const Acc& a, int mask) {
    return {shuffle_xor(a.value, mask), shuffle_xor(a.column, mask)};
  }
};
