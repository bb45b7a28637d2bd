// The kernels that plans name.
#include "cuda/convolution.h"
#include "cuda/extents.h"
#include "cuda/launch.h"
#include "cuda/matrix_product.h"
#include "cuda/transfer.h"

namespace tw {
namespace {

template <typename K>
std::unique_ptr<Kernel> make(const StepInfo& step) {
  return std::make_unique<K>(step);
}

}  // namespace

void register_cuda() {
  register_kernel("cuda.transfer", make<cuda::TransferKernel>);
  register_kernel("cuda.launch", make<cuda::LaunchKernel>);
  register_kernel("cuda.extents", make<cuda::ExtentsKernel>);
  register_kernel("cuda.cublaslt", make<cuda::MatrixProduct>);
  register_kernel("cuda.cudnn", make<cuda::ConvolutionKernel>);
}

}  // namespace tw
