#include "executor/weights.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace tw {
namespace {

std::filesystem::path utf8_path(const std::string& path) { return std::u8string(path.begin(), path.end()); }

}  // namespace

std::shared_ptr<const Weights> Weights::copy(std::span<const std::byte> bytes) {
  std::shared_ptr<Weights> weights(new Weights);
  weights->bytes_ = bytes.size();
  weights->data_ = weights->owned_.reserve(bytes.size());
  if (!bytes.empty()) std::memcpy(weights->owned_.data(), bytes.data(), bytes.size());
  return weights;
}

std::shared_ptr<const Weights> Weights::map(const std::string& path, uint64_t offset, uint64_t bytes) {
  std::error_code failure;
  const uint64_t size = std::filesystem::file_size(utf8_path(path), failure);
  if (failure) throw Error(Code::kInvalidArgument, "cannot open '" + path + "': " + failure.message());
  if (offset > size || bytes > size - offset)
    throw Error(Code::kInvalidPlan, "the weights take bytes " + std::to_string(offset) + " to " +
                                        std::to_string(offset + bytes) + " of '" + path + "', which has " +
                                        std::to_string(size));
  std::shared_ptr<Weights> weights(new Weights);
  weights->bytes_ = static_cast<size_t>(bytes);
#if !defined(_WIN32)
  if (bytes > 0 && offset % 64 == 0) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw Error(Code::kInvalidArgument, "cannot open '" + path + "': " + std::strerror(errno));
    const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE)), skip = offset % page;
    void* mapped = mmap(nullptr, bytes + skip, PROT_READ, MAP_PRIVATE, descriptor, static_cast<off_t>(offset - skip));
    close(descriptor);
    if (mapped != MAP_FAILED) {
      weights->mapped_ = mapped;
      weights->mapped_bytes_ = bytes + skip;
      weights->data_ = static_cast<const std::byte*>(mapped) + skip;
      return weights;
    }
  }
#endif
  weights->read(path, offset);
  return weights;
}

void Weights::read(const std::string& path, uint64_t offset) {
  std::ifstream in(utf8_path(path), std::ios::binary);
  in.seekg(static_cast<std::streamoff>(offset));
  data_ = owned_.reserve(bytes_);
  in.read(reinterpret_cast<char*>(owned_.data()), static_cast<std::streamsize>(bytes_));
  if (!in) throw Error(Code::kInvalidArgument, "cannot read the weights from '" + path + "'");
}

Weights::~Weights() {
#if !defined(_WIN32)
  if (mapped_) munmap(mapped_, mapped_bytes_);
#endif
}

}  // namespace tw
