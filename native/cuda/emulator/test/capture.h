// The rules of stream capture: what they forbid fails, and takes the recording with it.
#pragma once
#include <functional>
#include <thread>

#include "support.h"

namespace test {

constexpr int kGlobal = 0, kThreadLocal = 1, kRelaxed = 2;
constexpr int kUnsupported = 900, kInvalidated = 901, kMerge = 902, kUnmatched = 903, kUnjoined = 904, kIsolation = 905,
              kImplicit = 906, kCapturedEvent = 907, kWrongThread = 908;

class CaptureTest {
 public:
  explicit CaptureTest(Device& device)
      : device_(device), in0_(device, random_floats(kElements)), out_(device, kElements * 4) {
    for (void** stream : {&stream_, &other_}) device.call("cuStreamCreate", stream, 1u);
    for (void** event : {&event_, &outside_}) device.call("cuEventCreate", event, 0u);
    device.call("cuEventRecord", outside_, other_);
  }
  ~CaptureTest() {
    for (void* stream : {stream_, other_}) device_.call("cuStreamDestroy_v2", stream);
    for (void* event : {event_, outside_}) device_.call("cuEventDestroy_v2", event);
  }

  void run() {
    std::fprintf(stderr, "-- two dozen broken rules of stream capture follow on purpose\n");
    forbidden();
    modes();
    forks();
    host_memory();
  }

 private:
  static constexpr size_t kElements = 256;

  int add(void* stream) {
    return device_.try_launch_on(stream, "add", {1}, {256}, 0, in0_, in0_, out_, int64_t(kElements));
  }
  void begin(int mode = kThreadLocal) { device_.call("cuStreamBeginCapture_v2", stream_, mode); }
  int end(void* stream) {
    void* graph = nullptr;
    const int result = device_.try_call("cuStreamEndCapture", stream, &graph);
    check((result == 0) == (graph != nullptr), "a graph, or why there is none");
    if (graph) device_.call("cuGraphDestroy", graph);
    return result;
  }
  int exchange(int mode) {
    device_.call("cuThreadExchangeStreamCaptureMode", &mode);
    return mode;
  }

  // Each in a recording of its own, which is lost then.
  void forbidden() {
    uint64_t memory = 0;
    float words[4] = {}, milliseconds;
    void *host, *image = nullptr;
    device_.call("cuMemAlloc_v2", &memory, size_t{16});
    struct Case {
      const char* what;
      int result;
      std::function<int()> call;
    };
    const Case cases[] = {
        {"waiting for the stream", kUnsupported, [&] { return device_.try_call("cuStreamSynchronize", stream_); }},
        {"asking for the stream", kUnsupported, [&] { return device_.try_call("cuStreamQuery", stream_); }},
        {"waiting for another one", kUnsupported, [&] { return device_.try_call("cuStreamSynchronize", other_); }},
        {"waiting for the device", kUnsupported, [&] { return device_.try_call("cuCtxSynchronize"); }},
        {"an allocation", kUnsupported, [&] { return device_.try_call("cuMemAlloc_v2", &memory, size_t{16}); }},
        {"a release", kUnsupported, [&] { return device_.try_call("cuMemFree_v2", memory); }},
        {"locked memory", kUnsupported, [&] { return device_.try_call("cuMemHostAlloc", &host, size_t{16}, 0u); }},
        {"code", kUnsupported,
         [&] { return device_.try_call("cuModuleLoadData", &host, static_cast<const void*>(image)); }},
        {"a copy that waits", kUnsupported,
         [&] { return device_.try_call("cuMemcpyHtoD_v2", memory, static_cast<const void*>(words), size_t{16}); }},
        {"asking for an event", kUnsupported, [&] { return device_.try_call("cuEventQuery", outside_); }},
        {"waiting for an event", kUnsupported, [&] { return device_.try_call("cuEventSynchronize", outside_); }},
        {"waiting for an event of its own", kCapturedEvent,
         [&] {
           device_.call("cuEventRecord", event_, stream_);
           return device_.try_call("cuEventSynchronize", event_);
         }},
        {"measuring from one", kCapturedEvent,
         [&] {
           device_.call("cuEventRecord", event_, stream_);
           return device_.try_call("cuEventElapsedTime", &milliseconds, outside_, event_);
         }},
        {"what is not captured", kIsolation,
         [&] { return device_.try_call("cuStreamWaitEvent", stream_, outside_, 0u); }},
        {"a recording in a recording", kUnsupported,
         [&] { return device_.try_call("cuStreamBeginCapture_v2", stream_, kThreadLocal); }},
    };
    for (const Case& c : cases) {
      begin();
      check(add(stream_) == 0, "a launch that is recorded");
      check(c.call() == c.result, c.what);
      check(add(stream_) == kInvalidated, "a launch into what is lost");
      check(end(stream_) == kInvalidated, "a recording that is lost");
      check(add(stream_) == 0 && device_.try_call("cuStreamSynchronize", stream_) == 0, "the stream afterwards");
    }
    device_.call("cuMemFree_v2", memory);
    // Streams that wait for the legacy one, and it for them.
    void* blocking;
    device_.call("cuStreamCreate", &blocking, 0u);
    device_.call("cuStreamBeginCapture_v2", blocking, kRelaxed);
    check(add(nullptr) == kImplicit, "the legacy stream");
    check(end(blocking) == kInvalidated, "a recording that the legacy stream waits for");
    device_.call("cuStreamDestroy_v2", blocking);
    check(device_.try_call("cuStreamBeginCapture_v2", static_cast<void*>(nullptr), kRelaxed) == kUnsupported,
          "a recording of the legacy stream");
  }

  // Of recordings and of threads.
  void modes() {
    uint64_t memory;
    const auto allocate = [&] {
      const int result = device_.try_call("cuMemAlloc_v2", &memory, size_t{16});
      if (result == 0) device_.call("cuMemFree_v2", memory);
      return result;
    };
    const auto elsewhere = [&](const std::function<int()>& call) {
      void* context;
      device_.call("cuCtxGetCurrent", &context);
      int result = -1;
      std::thread([&] {
        device_.call("cuCtxSetCurrent", context);
        result = call();
      }).join();
      return result;
    };
    begin();
    check(exchange(kRelaxed) == kGlobal, "a thread's first mode");
    check(allocate() == 0, "an allocation by a thread that may");
    check(exchange(kGlobal) == kRelaxed, "its mode before");
    check(elsewhere(allocate) == 0, "an allocation by another thread");
    check(elsewhere([&] { return end(stream_); }) == kWrongThread, "the end by another thread");
    check(end(stream_) == 0, "a recording that nobody disturbs");
    begin(kRelaxed);
    check(allocate() == 0 && end(stream_) == 0, "a recording that allows it");
    begin(kGlobal);
    check(elsewhere(allocate) == kUnsupported && end(stream_) == kInvalidated, "a recording that forbids it to all");
  }

  void forks() {
    const auto fork = [&] {
      begin();
      device_.call("cuEventRecord", event_, stream_);
      device_.call("cuStreamWaitEvent", other_, event_, 0u);
      check(add(other_) == 0, "a launch into another stream's recording");
    };
    fork();
    check(end(stream_) == kUnjoined, "a part that nobody waits for");
    fork();
    check(end(other_) == kUnmatched && end(stream_) == kInvalidated, "an end on another stream");
    fork();
    device_.call("cuEventRecord", event_, other_);
    device_.call("cuStreamWaitEvent", stream_, event_, 0u);
    check(end(stream_) == 0, "a part that is waited for");
    begin();
    device_.call("cuEventRecord", event_, stream_);
    device_.call("cuStreamBeginCapture_v2", other_, kThreadLocal);
    check(device_.try_call("cuStreamWaitEvent", other_, event_, 0u) == kMerge, "two recordings at once");
    check(end(other_) == kInvalidated && end(stream_) == kInvalidated, "both of them");
  }

  // Ordinary memory is read when the graph is played, too.
  void host_memory() {
    std::vector<float> host(kElements, 1);
    void *graph, *executable;
    begin();
    device_.call("cuMemcpyHtoDAsync_v2", in0_.pointer(), static_cast<const void*>(host.data()), kElements * 4, stream_);
    device_.call("cuStreamEndCapture", stream_, &graph);
    device_.call("cuGraphInstantiateWithFlags", &executable, graph, 0ull);
    host.assign(kElements, 2);
    device_.call("cuGraphLaunch", executable, stream_);
    device_.call("cuStreamSynchronize", stream_);
    check(in0_.read<float>() == host, "memory as it is when the graph is played");
    device_.call("cuGraphExecDestroy", executable);
    device_.call("cuGraphDestroy", graph);
  }

  Device& device_;
  Buffer in0_, out_;
  void *stream_, *other_, *event_, *outside_;
};

inline void test_capture(Device& device) { CaptureTest(device).run(); }

}  // namespace test
