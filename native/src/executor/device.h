// What the executor asks of a device with a memory of its own. Backends implement it; src/cuda is the one there is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace tw {

class Device;
class JobQueue;

// A piece of the device's memory that grows; contents are lost when it does. It goes at once, whatever is queued: who has
// one waits first for the queues whose work may touch it.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  explicit DeviceBlock(std::shared_ptr<Device> device) : device_(std::move(device)) {}
  DeviceBlock(DeviceBlock&& other) noexcept { *this = std::move(other); }
  DeviceBlock& operator=(DeviceBlock&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~DeviceBlock() { reset(); }

  // At least `bytes`. True when the memory has moved. Throws kOutOfMemory.
  bool reserve(size_t bytes);
  void reset();
  std::byte* data() const { return data_; }
  size_t capacity() const { return capacity_; }

 private:
  std::shared_ptr<Device> device_;
  std::byte* data_ = nullptr;
  size_t capacity_ = 0;
};

// Queued work, kept to be queued again as one piece.
class Recording {
 public:
  virtual ~Recording() = default;
};

// What a queue was given to do, since it was made. What is recorded counts when it is played: as one play.
struct QueueCounts {
  uint64_t waits = 0;     // of the host for the device
  uint64_t launches = 0;  // of kernels and calls of libraries, one by one
  uint64_t plays = 0;     // of recordings
  uint64_t copied = 0;    // bytes: to the device, from it, and within it
};

// Work in order. Used by one thread at a time.
class DeviceQueue {
 public:
  virtual ~DeviceQueue() = default;
  // Makes the device current on the calling thread; before anything else of a run.
  virtual void enter() = 0;
  // Returns when all queued work is done; throws what went wrong in it.
  virtual void synchronize() = 0;
  // The same before something is released: what became of the work is nobody's concern any more.
  virtual void drain() noexcept = 0;
  virtual const QueueCounts& counts() const = 0;
  // What `work` queues is kept instead of done.
  virtual std::shared_ptr<Recording> record(const std::function<void()>& work) = 0;
  // Keeps it until it is done.
  virtual void play(const std::shared_ptr<Recording>& recording) = 0;
  // What queued work needs: kept until that is done, or for as long as its recording.
  virtual void keep(std::shared_ptr<const void> needed) = 0;
  virtual void fill(std::byte* data, size_t bytes, unsigned char value) = 0;
  // Within the device's memory.
  virtual void copy(void* to, const void* from, size_t bytes) = 0;
  // Host memory that copies pass through, in bytes.
  virtual size_t staging_bytes() const = 0;
  // A point in the queue, to be measured from.
  virtual void mark(size_t slot) = 0;
  // Nanoseconds of device time between two marks, after synchronize().
  virtual double nanoseconds(size_t from, size_t to) = 0;
};

// Bytes of a device's memory: what is left for everybody, all there is, and what this process has allocated.
struct DeviceMemoryState {
  size_t free = 0, total = 0, own = 0;
};

class Device : public std::enable_shared_from_this<Device> {
 public:
  virtual ~Device() = default;
  virtual int index() const = 0;
  // Makes the device current on the calling thread.
  virtual void enter() = 0;
  virtual std::byte* allocate(size_t bytes) = 0;
  virtual void release(std::byte* data, size_t bytes) noexcept = 0;
  virtual DeviceMemoryState memory() = 0;
  // Bytes of the cache that all its processors share.
  virtual size_t cache_bytes() const = 0;
  // Return when the copy is done.
  virtual void upload(std::byte* to, const std::byte* from, size_t bytes) = 0;
  virtual void download(std::byte* to, const std::byte* from, size_t bytes) = 0;
  virtual std::unique_ptr<DeviceQueue> make_queue() = 0;
  // How many pieces of memory this process has released so far: what found too little memory may find more once there
  // are others.
  virtual uint64_t releases() const = 0;
};

// Releases memory of the device that is only kept to save time, and says whether there was any. Called where an
// allocation has failed, on any thread: who allocates holds no lock that it takes.
using Reclaimer = bool (*)(const Device& device);
void add_reclaimer(Reclaimer reclaimer);
bool reclaim(const Device& device);

// The device of this index. Throws kBackendUnavailable saying why there is none.
std::shared_ptr<Device> open_device(int index);

// A piece of a device's memory that a user owns.
struct DeviceMemory {
  std::shared_ptr<Device> device;
  DeviceBlock block;
  size_t bytes = 0;
  std::shared_ptr<JobQueue> copies;  // to and from the host, in the order they were asked for
};

inline bool DeviceBlock::reserve(size_t bytes) {
  if (bytes <= capacity_) return false;
  reset();
  data_ = device_->allocate(bytes);
  capacity_ = bytes;
  return true;
}

inline void DeviceBlock::reset() {
  if (data_) device_->release(data_, capacity_);
  data_ = nullptr;
  capacity_ = 0;
}

}  // namespace tw
