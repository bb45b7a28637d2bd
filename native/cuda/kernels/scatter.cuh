// Updates that meet at one place apply in their order, whatever order the threads run in: each place has a list of
// its updates, put together in any order and then sorted.

// Adds update `i` to the list that begins at head.
TW_DEVICE void push_update(i32* head, i32* next, i32 i) { next[i] = atomicExch(head, i); }

// Sorts a linked list of indices: merges runs of 1, 2, 4 … elements.
TW_DEVICE i32 sort_updates(i32 head, i32* next) {
  for (i32 run = 1;; run *= 2) {
    i32 left = head, tail = -1, merges = 0;
    head = -1;
    while (left >= 0) {
      ++merges;
      i32 right = left, left_size = 0, right_size = run;
      while (left_size < run && right >= 0) {
        ++left_size;
        right = next[right];
      }
      while (left_size > 0 || (right_size > 0 && right >= 0)) {
        i32 taken;
        if (left_size > 0 && (right_size == 0 || right < 0 || left < right)) {
          taken = left;
          left = next[left];
          --left_size;
        } else {
          taken = right;
          right = next[right];
          --right_size;
        }
        if (tail < 0) head = taken;
        else next[tail] = taken;
        tail = taken;
      }
      left = right;
    }
    if (tail >= 0) next[tail] = -1;
    if (merges <= 1) return head;
  }
}
