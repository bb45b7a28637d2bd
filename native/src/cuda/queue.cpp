#include "cuda/queue.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "cuda/graph_fills.h"

namespace tw::cuda {
namespace {

constexpr unsigned kNonBlocking = 1;
constexpr int kThreadLocalCapture = 1;
constexpr int kFirstWithDependentLaunch = 90;
constexpr size_t kPiece = size_t{512} << 10;

using Needed = std::vector<std::shared_ptr<const void>>;

struct GraphEnd {
  void operator()(GraphHandle graph) const { driver().cuGraphDestroy(graph); }
};
using OwnedGraph = std::unique_ptr<GraphObject, GraphEnd>;

class Graph : public Recording {
 public:
  Graph(std::shared_ptr<CudaDevice> device, const OwnedGraph& graph, Needed needed)
      : device_(std::move(device)), needed_(std::move(needed)) {
    device_->with_memory([&] {
      device_->check(driver().cuGraphInstantiateWithFlags(&exec_, graph.get(), 0), "cuGraphInstantiate");
    });
  }
  ~Graph() override {
    if (const DeviceScope scope(*device_); scope) driver().cuGraphExecDestroy(exec_);
  }
  GraphExecHandle exec() const { return exec_; }

 private:
  std::shared_ptr<CudaDevice> device_;
  Needed needed_;
  GraphExecHandle exec_ = nullptr;
};

DevicePointer address(const void* pointer) { return reinterpret_cast<DevicePointer>(pointer); }

void add(Needed& list, std::shared_ptr<const void> needed) {
  if (std::find(list.begin(), list.end(), needed) == list.end()) list.push_back(std::move(needed));
}

}  // namespace

Queue::Queue(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {
  device_->make_current();
  device_->with_memory([&] { device_->check(driver().cuStreamCreate(&stream_, kNonBlocking), "cuStreamCreate"); });
}

Queue::~Queue() {
  const DeviceScope scope(*device_);
  if (!scope) return;
  // Copies that a failed run has left may still read what is about to go.
  driver().cuStreamSynchronize(stream_);
  needed_.clear();
  attachments_.clear();
  for (EventHandle mark : marks_)
    if (mark) driver().cuEventDestroy_v2(mark);
  driver().cuStreamDestroy_v2(stream_);
  staging_.free();
}

std::shared_ptr<void>& Queue::attachment(const void* library) {
  const auto known = std::find_if(attachments_.begin(), attachments_.end(),
                                  [&](const auto& attached) { return attached.first == library; });
  return known == attachments_.end() ? attachments_.emplace_back(library, nullptr).second : known->second;
}

void Queue::keep(std::shared_ptr<const void> needed) { add(recorded_ ? *recorded_ : needed_, std::move(needed)); }

void Queue::drain() noexcept {
  const DeviceScope scope(*device_);
  if (!scope || !stream_) return;
  driver().cuStreamSynchronize(stream_);
  arriving_.clear();
  staging_.reset();
  needed_.clear();
}

void Queue::synchronize() {
  ++counts_.waits;
  after_kernel_ = false;
  const Result result = driver().cuStreamSynchronize(stream_);
  const auto arrived = std::exchange(arriving_, {});
  if (result == kSuccess)
    for (const Arriving& a : arrived) std::memcpy(a.to, a.staged, a.bytes);
  staging_.reset();
  needed_.clear();
  device_->check(result, "cuStreamSynchronize");
}

std::shared_ptr<Recording> Queue::record(const std::function<void()>& work) {
  Needed needed;
  device_->check(driver().cuStreamBeginCapture_v2(stream_, kThreadLocalCapture), "cuStreamBeginCapture");
  after_kernel_ = false;
  recorded_ = &needed;
  const QueueCounts before = counts_;
  OwnedGraph graph;
  const auto end = [&] {
    recorded_ = nullptr;
    counts_ = before;
    after_kernel_ = false;
    GraphHandle made = nullptr;
    const Result result = driver().cuStreamEndCapture(stream_, &made);
    graph.reset(made);
    return result;
  };
  try {
    work();
  } catch (...) {
    end();
    throw;
  }
  device_->check(end(), "cuStreamEndCapture");
  replace_fills(device_, graph.get());
  auto recording = std::make_shared<Graph>(device_, graph, std::move(needed));
  device_->with_memory([&] { device_->check(driver().cuGraphUpload(recording->exec(), stream_), "cuGraphUpload"); });
  return recording;
}

void Queue::play(const std::shared_ptr<Recording>& recording) {
  after_kernel_ = false;
  keep(recording);
  ++counts_.plays;
  device_->check(driver().cuGraphLaunch(static_cast<Graph&>(*recording).exec(), stream_), "cuGraphLaunch");
}

void Queue::fill(std::byte* data, size_t bytes, unsigned char value) {
  after_kernel_ = false;
  if (bytes) device_->check(driver().cuMemsetD8Async(address(data), value, bytes, stream_), "cuMemsetD8Async");
}

void Queue::mark(size_t slot) {
  if (marks_.size() <= slot) marks_.resize(slot + 1);
  if (!marks_[slot]) device_->check(driver().cuEventCreate(&marks_[slot], 0), "cuEventCreate");
  device_->check(driver().cuEventRecord(marks_[slot], stream_), "cuEventRecord");
  after_kernel_ = false;
}

double Queue::nanoseconds(size_t from, size_t to) {
  float milliseconds = 0;
  device_->check(driver().cuEventElapsedTime(&milliseconds, marks_[from], marks_[to]), "cuEventElapsedTime");
  return static_cast<double>(milliseconds) * 1e6;
}

void Queue::copy(void* to, const void* from, size_t bytes) {
  after_kernel_ = false;
  counts_.copied += bytes;
  if (bytes) device_->check(driver().cuMemcpyAsync(address(to), address(from), bytes, stream_), "cuMemcpyAsync");
}

// In pieces, so that the device copies one while the host stages the next.
void Queue::upload(void* to, const void* from, size_t bytes) {
  after_kernel_ = false;
  counts_.copied += bytes;
  const auto overlaps = [&](const Arriving& a) {
    const auto *begin = static_cast<const std::byte*>(a.to), *source = static_cast<const std::byte*>(from);
    return source < begin + a.bytes && begin < source + bytes;
  };
  // What comes from the device only to go back has to be here first.
  if (std::any_of(arriving_.begin(), arriving_.end(), overlaps)) synchronize();
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const size_t piece = std::min(bytes, kPiece);
    std::byte* const staged = staging_.take(piece);
    if (!staged) break;
    std::memcpy(staged, source, piece);
    device_->check(driver().cuMemcpyHtoDAsync_v2(address(target), staged, piece, stream_), "cuMemcpyHtoDAsync");
    target += piece;
    source += piece;
    bytes -= piece;
  }
  if (bytes)
    device_->check(driver().cuMemcpyHtoDAsync_v2(address(target), source, bytes, stream_), "cuMemcpyHtoDAsync");
}

void Queue::download(void* to, const void* from, size_t bytes) {
  after_kernel_ = false;
  counts_.copied += bytes;
  if (bytes == 0) return;
  std::byte* const staged = staging_.take(bytes);
  device_->check(driver().cuMemcpyDtoHAsync_v2(staged ? staged : to, address(from), bytes, stream_),
                 "cuMemcpyDtoHAsync");
  if (staged) arriving_.push_back({to, staged, bytes});
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
  ++counts_.launches;
  // The first launch of a kernel may load its code.
  device_->with_memory(
      [&] { device_->check(driver().cuLaunchKernelEx(&config, function, parameters, nullptr), "cuLaunchKernelEx"); });
  after_kernel_ = true;
}

}  // namespace tw::cuda
