#include "kernels/common/index.h"

namespace tw {

void index_out_of_range(const char* kernel, int64_t index, int64_t size) {
  throw Error(Code::kInvalidArgument, std::string(kernel) + ": index " + std::to_string(index) + " is out of range, expected a value in [" +
                                          std::to_string(-size) + ", " + std::to_string(size - 1) + "]");
}

}  // namespace tw
