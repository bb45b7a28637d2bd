// What a user runs: a frame of a whole program with its inputs bound from outside and its outputs handed out.
#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "executor/fork_choice.h"
#include "executor/frame.h"
#include "executor/spare_blocks.h"
#include "executor/threads.h"

namespace tw {

// Memory for one output: the caller's, or a block made here for the caller to take.
struct OutputSlot {
  std::byte* fixed = nullptr;
  size_t fixed_bytes = 0;
  DType dtype = DType::kFloat32;  // of `fixed`
  std::shared_ptr<DeviceMemory> device_memory;  // where `fixed` is not the host's
  bool deferred = false;          // `fixed` is not aligned, or overlaps an input: it is written at the very end
  // Set by the run.
  Tensor tensor;  // rank -1: not a tensor
  Block block;
  std::shared_ptr<SpareBlocks> spare;  // where `block` goes when it has been read
};

// Throws kInvalidArgument unless the memory is of the device that the program runs on.
void check_device(const Program& program, const DeviceMemory& memory);

constexpr int64_t kDefaultIterations = int64_t{1} << 31;

class Context {
 public:
  Context(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> pool, FrameOptions options);

  // Inputs are dense in their value's order; rank -1: not given. One slot for each output.
  void run(std::span<const Tensor> inputs, std::span<OutputSlot> outputs, const std::atomic<bool>& cancelled,
           int64_t max_iterations);

  // The same in pieces, with steps of other backends between them. Between begin() and finish() no run() is allowed.
  // The inputs' memory is the caller's, or in `owned` and `memories`, which are kept until the end.
  void begin(std::vector<Tensor> inputs, std::vector<Block> owned, std::vector<std::shared_ptr<DeviceMemory>> memories);
  void run_segment(size_t segment, const std::atomic<bool>& cancelled, int64_t max_iterations);
  // Both of the host's memory alone, and for memory of the host: else kInvalidArgument.
  Tensor view(const OperandDescription& operand);
  void write(const OperandDescription& operand, const Tensor& tensor);
  std::vector<OutputSlot> finish();
  void abandon() { session_.reset(); }

  Frame& frame() { return frame_; }
  const Program& program() const { return *program_; }
  // The next run leaves the event loop a core. Any thread may ask.
  bool leaves_core() const;
  JobQueue& queue() { return *queue_; }

 private:
  struct Session;
  Session& session();
  ProgramOperand operand(const OperandDescription& d) const;

  std::shared_ptr<const Program> program_;
  std::shared_ptr<ThreadPool> pool_, alone_ = shared_pool(1);
  ForkChoice fork_choice_;
  Frame frame_;
  std::shared_ptr<SpareBlocks> spare_ = std::make_shared<SpareBlocks>();
  std::unique_ptr<Session, void (*)(Session*)> session_;
  std::shared_ptr<JobQueue> queue_ = std::make_shared<JobQueue>();
};

}  // namespace tw
