// Steps with programs of their own: if, loop and scan, run on nested frames that are kept from run to run.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "executor/frame.h"
#include "executor/room.h"

namespace tw {

class ControlState {
 public:
  // Both outlive it.
  ControlState(const ProgramStep& step, Frame& parent);

  void run(std::span<const Tensor> inputs, std::span<Tensor> outputs);
  void add_memory(MemoryUse& use) const;

 private:
  class BranchSink;
  class IterationSink;

  void run_if(std::span<const Tensor> inputs, std::span<Tensor> outputs);
  void run_loop(std::span<const Tensor> inputs);
  void run_scan(std::span<const Tensor> inputs);

  Frame& body(size_t program);
  // The tensor as input `index` of the body wants it: itself, or a copy in another order of axes. On a device a copy
  // also where kernels would find it on an odd address; `steady`: always, so that what is recorded can be played again.
  Tensor arranged(size_t index, const Tensor& tensor, const Program& body, bool steady = false);
  void copy(const Tensor& from, const Tensor& to) const;
  // A one-element input of the body, of the rank the body declares.
  Tensor scalar_input(size_t index, DType dtype, void* data, const Program& body) const;
  void check_iteration(int64_t iteration) const;
  int64_t count(const char* attribute) const { return step_.attributes.integer(attribute, 0); }
  void deliver_carried(std::span<const Tensor> inputs, size_t carried);

  const ProgramStep& step_;
  Frame& parent_;
  std::vector<std::unique_ptr<Frame>> bodies_;
  DeviceSide side_;            // where the step is one of a device
  std::vector<Room> staging_;  // by body input: copies made by arranged()
  std::vector<Room> rooms_;    // of the sinks
};

}  // namespace tw
