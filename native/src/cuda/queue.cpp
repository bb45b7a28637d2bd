#include "cuda/queue.h"

namespace tw::cuda {
namespace {

constexpr unsigned kNonBlocking = 1;
constexpr int kThreadLocalCapture = 1;
constexpr int kFirstWithDependentLaunch = 90;

class Graph : public Recording {
 public:
  Graph(std::shared_ptr<CudaDevice> device, GraphHandle graph) : device_(std::move(device)) {
    const Result result = driver().cuGraphInstantiateWithFlags(&exec_, graph, 0);
    driver().cuGraphDestroy(graph);
    driver().check(result, "cuGraphInstantiate");
  }
  ~Graph() override {
    if (exec_) driver().cuGraphExecDestroy(exec_);
  }
  GraphExecHandle exec() const { return exec_; }

 private:
  std::shared_ptr<CudaDevice> device_;
  GraphExecHandle exec_ = nullptr;
};

DevicePointer address(const void* pointer) { return reinterpret_cast<DevicePointer>(pointer); }

}  // namespace

Queue::Queue(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {
  device_->make_current();
  driver().check(driver().cuStreamCreate(&stream_, kNonBlocking), "cuStreamCreate");
}

Queue::~Queue() {
  for (EventHandle mark : marks_)
    if (mark) driver().cuEventDestroy_v2(mark);
  driver().cuStreamDestroy_v2(stream_);
}

void Queue::synchronize() {
  driver().check(driver().cuStreamSynchronize(stream_), "cuStreamSynchronize");
  after_kernel_ = false;
}

std::unique_ptr<Recording> Queue::record(const std::function<void()>& work) {
  driver().check(driver().cuStreamBeginCapture_v2(stream_, kThreadLocalCapture), "cuStreamBeginCapture");
  after_kernel_ = false;
  GraphHandle graph = nullptr;
  try {
    work();
  } catch (...) {
    driver().cuStreamEndCapture(stream_, &graph);
    if (graph) driver().cuGraphDestroy(graph);
    after_kernel_ = false;
    throw;
  }
  after_kernel_ = false;
  driver().check(driver().cuStreamEndCapture(stream_, &graph), "cuStreamEndCapture");
  auto recording = std::make_unique<Graph>(device_, graph);
  driver().check(driver().cuGraphUpload(recording->exec(), stream_), "cuGraphUpload");
  return recording;
}

void Queue::play(Recording& recording) {
  after_kernel_ = false;
  driver().check(driver().cuGraphLaunch(static_cast<Graph&>(recording).exec(), stream_), "cuGraphLaunch");
}

void Queue::fill(std::byte* data, size_t bytes, unsigned char value) {
  after_kernel_ = false;
  if (bytes) driver().check(driver().cuMemsetD8Async(address(data), value, bytes, stream_), "cuMemsetD8Async");
}

void Queue::mark(size_t slot) {
  if (marks_.size() <= slot) marks_.resize(slot + 1);
  if (!marks_[slot]) driver().check(driver().cuEventCreate(&marks_[slot], 0), "cuEventCreate");
  driver().check(driver().cuEventRecord(marks_[slot], stream_), "cuEventRecord");
  after_kernel_ = false;
}

double Queue::nanoseconds(size_t from, size_t to) {
  float milliseconds = 0;
  driver().check(driver().cuEventElapsedTime(&milliseconds, marks_[from], marks_[to]), "cuEventElapsedTime");
  return static_cast<double>(milliseconds) * 1e6;
}

void Queue::copy(void* to, const void* from, size_t bytes) {
  after_kernel_ = false;
  if (bytes) driver().check(driver().cuMemcpyAsync(address(to), address(from), bytes, stream_), "cuMemcpyAsync");
}

void Queue::launch(FunctionHandle function, LaunchConfig& config, void* arguments) {
  LaunchAttribute attributes[2] = {};
  unsigned count = config.attribute_count;
  if (count) attributes[0] = *config.attributes;
  if (after_kernel_ && device_->properties().capability >= kFirstWithDependentLaunch) {
    attributes[count].id = kProgrammaticSerialization;
    attributes[count++].programmatic_serialization = 1;
  }
  config.stream = stream_;
  config.attributes = attributes;
  config.attribute_count = count;
  void* parameters[] = {arguments};
  driver().check(driver().cuLaunchKernelEx(&config, function, parameters, nullptr), "cuLaunchKernelEx");
  after_kernel_ = true;
}

}  // namespace tw::cuda
