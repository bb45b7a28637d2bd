// Calls every registration function named in kernels.list.
namespace tw {

#define TW_KERNELS(function) void function();
#include "kernels/kernels.list"
#undef TW_KERNELS

void register_all_kernels() {
#define TW_KERNELS(function) function();
#include "kernels/kernels.list"
#undef TW_KERNELS
}

}  // namespace tw
