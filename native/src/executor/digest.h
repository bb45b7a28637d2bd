// A fast content digest for plan sections and caches.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "base/thread_pool.h"

namespace tw {

// 64 lower-case hex digits: the first half of the BLAKE2b-512 of the concatenated BLAKE2b-512 digests of the content's
// pieces of 1 MiB (RFC 7693, no key). The pieces are hashed in parallel.
std::string digest(std::span<const std::byte> content, ThreadPool& pool);
// The same, on the calling thread alone.
std::string digest(std::span<const std::byte> content);

}  // namespace tw
