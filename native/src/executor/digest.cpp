#include "executor/digest.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tw {
namespace {

constexpr size_t kPiece = size_t{1} << 20, kBlock = 128, kDigest = 64;

constexpr std::array<uint64_t, 8> kStart = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                            0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                            0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

constexpr uint8_t kSigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

uint64_t little(uint64_t word) {
  if constexpr (std::endian::native == std::endian::little) return word;
  uint64_t swapped = 0;
  for (int i = 0; i < 8; ++i) swapped |= ((word >> (8 * i)) & 0xFF) << (56 - 8 * i);
  return swapped;
}

void mix(uint64_t& a, uint64_t& b, uint64_t& c, uint64_t& d, uint64_t x, uint64_t y) {
  a += b + x;
  d = std::rotr(d ^ a, 32);
  c += d;
  b = std::rotr(b ^ c, 24);
  a += b + y;
  d = std::rotr(d ^ a, 16);
  c += d;
  b = std::rotr(b ^ c, 63);
}

void compress(std::array<uint64_t, 8>& h, const std::byte* block, uint64_t counter, bool last) {
  uint64_t m[16], v[16];
  std::memcpy(m, block, kBlock);
  for (uint64_t& word : m) word = little(word);
  for (size_t i = 0; i < 8; ++i) {
    v[i] = h[i];
    v[8 + i] = kStart[i];
  }
  v[12] ^= counter;
  if (last) v[14] = ~v[14];
  for (int round = 0; round < 12; ++round) {
    const uint8_t* s = kSigma[round % 10];
    mix(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
    mix(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
    mix(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
    mix(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
    mix(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
    mix(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
    mix(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
    mix(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
  }
  for (size_t i = 0; i < 8; ++i) h[i] ^= v[i] ^ v[8 + i];
}

void blake2b(std::span<const std::byte> content, std::byte* out) {
  std::array<uint64_t, 8> h = kStart;
  h[0] ^= 0x01010000 ^ kDigest;
  size_t at = 0;
  for (; content.size() - at > kBlock; at += kBlock) compress(h, content.data() + at, at + kBlock, false);
  std::byte rest[kBlock] = {};
  if (content.size() > at) std::memcpy(rest, content.data() + at, content.size() - at);
  compress(h, rest, content.size(), true);
  for (size_t i = 0; i < 8; ++i) {
    const uint64_t word = little(h[i]);
    std::memcpy(out + 8 * i, &word, 8);
  }
}

size_t pieces_of(std::span<const std::byte> content) {
  return std::max<size_t>(1, (content.size() + kPiece - 1) / kPiece);
}

void digest_piece(std::span<const std::byte> content, size_t piece, std::vector<std::byte>& digests) {
  const size_t begin = piece * kPiece;
  blake2b(content.subspan(begin, std::min(kPiece, content.size() - begin)), digests.data() + piece * kDigest);
}

std::string digest_of(const std::vector<std::byte>& digests) {
  std::byte whole[kDigest];
  blake2b(digests, whole);
  std::string text;
  for (size_t i = 0; i < kDigest / 2; ++i) {
    constexpr char kHex[] = "0123456789abcdef";
    text += kHex[std::to_integer<size_t>(whole[i] >> 4)];
    text += kHex[std::to_integer<size_t>(whole[i] & std::byte{15})];
  }
  return text;
}

}  // namespace

std::string digest(std::span<const std::byte> content, ThreadPool& pool) {
  std::vector<std::byte> digests(pieces_of(content) * kDigest);
  pool.parallel_for(static_cast<int64_t>(pieces_of(content)),
                    [&](int64_t i, int) { digest_piece(content, static_cast<size_t>(i), digests); });
  return digest_of(digests);
}

std::string digest(std::span<const std::byte> content) {
  std::vector<std::byte> digests(pieces_of(content) * kDigest);
  for (size_t i = 0; i < pieces_of(content); ++i) digest_piece(content, i, digests);
  return digest_of(digests);
}

}  // namespace tw
