// Descriptors of the emulated cuDNN: what one refers to must be there whenever it is used.
#pragma once
#include <string>

#include "support.h"

namespace test {

class Cudnn {
 public:
  explicit Cudnn(const std::string& path) : library_(dlopen(path.c_str(), RTLD_NOW)) {
    if (!library_) std::fprintf(stderr, "%s\n", dlerror()), std::exit(2);
  }
  template <typename... Arguments>
  int call(const char* name, Arguments... arguments) const {
    return reinterpret_cast<int (*)(Arguments...)>(dlsym(library_, name))(arguments...);
  }
  void* make(int kind) const {
    void* descriptor = nullptr;
    check(call("cudnnBackendCreateDescriptor", kind, &descriptor) == 0, "a descriptor");
    return descriptor;
  }
  template <typename T>
  void set(void* descriptor, int attribute, int type, const std::vector<T>& values) const {
    check(call("cudnnBackendSetAttribute", descriptor, attribute, type, static_cast<int64_t>(values.size()),
               static_cast<const void*>(values.data())) == 0,
          "an attribute");
  }
  int finalize(void* descriptor) const { return call("cudnnBackendFinalize", descriptor); }
  void destroy(void* descriptor) const { call("cudnnBackendDestroyDescriptor", descriptor); }

  void* tensor(int64_t id, const std::vector<int64_t>& dims) const {
    void* t = make(17);
    std::vector<int64_t> strides(dims.size(), 1);
    for (size_t i = dims.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * dims[i + 1];
    set<int64_t>(t, 900, 3, {16});
    set<int>(t, 901, 1, {0});
    set(t, 902, 3, dims);
    set(t, 903, 3, strides);
    set<int64_t>(t, 906, 3, {id});
    check(finalize(t) == 0, "a tensor");
    return t;
  }
  // Of windows that move by `stride`.
  void* convolution(int64_t stride) const {
    void* c = make(1);
    set<int>(c, 100, 1, {0});
    set<int>(c, 101, 7, {1});
    set<int64_t>(c, 102, 3, {1, 1});
    set<int64_t>(c, 103, 3, {stride, stride});
    set<int64_t>(c, 104, 3, {0, 0});
    set<int64_t>(c, 105, 3, {0, 0});
    set<int64_t>(c, 106, 3, {2});
    check(finalize(c) == 0, "a convolution");
    return c;
  }
  void* forward(void* how, void* x, void* w, void* y) const {
    void* f = make(10);
    set<float>(f, 700, 4, {1});
    set<float>(f, 701, 4, {0});
    set<void*>(f, 702, 15, {how});
    set<void*>(f, 703, 15, {w});
    set<void*>(f, 704, 15, {x});
    set<void*>(f, 705, 15, {y});
    return f;
  }

 private:
  void* library_;
};

// Beside the driver.
inline void test_cudnn(const std::string& driver) {
  constexpr int kBadParameter = 2000, kNotFinalized = 2004;
  const size_t name = driver.rfind("_cuda.so");
  const Cudnn cudnn(driver.substr(0, name) + "_cudnn.so");
  void *x = cudnn.tensor(1, {1, 2, 4, 4}), *w = cudnn.tensor(2, {3, 2, 1, 1}), *y = cudnn.tensor(3, {1, 3, 4, 4});
  void* how = cudnn.convolution(1);
  check(cudnn.finalize(cudnn.forward(how, x, w, y)) == 0, "a convolution of tensors");
  check(cudnn.finalize(cudnn.forward(cudnn.convolution(0), x, w, y)) == kBadParameter, "windows that do not move");
  void* late = cudnn.forward(how, x, w, y);
  cudnn.destroy(w);
  check(cudnn.finalize(late) == kNotFinalized, "a tensor that is destroyed");
  // Nothing takes its place.
  void* other = cudnn.tensor(2, {3, 2, 1, 1});
  check(other != w && cudnn.finalize(cudnn.forward(how, x, other, y)) == 0, "a tensor in its stead");
}

}  // namespace test
