// Reads the single-operator cases of ONNX's conformance data: just enough of the protobuf wire format.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/dtype.h"

namespace onnx {

struct Wire {
  const uint8_t *p, *end;
  explicit Wire(std::string_view bytes)
      : p(reinterpret_cast<const uint8_t*>(bytes.data())), end(p + bytes.size()) {}
  int field = 0, type = 0;
  uint64_t number = 0;     // of varints and fixed widths
  std::string_view bytes;  // of length-delimited fields

  uint64_t varint() {
    uint64_t v = 0;
    for (int shift = 0; p < end; shift += 7) {
      const uint8_t b = *p++;
      v |= static_cast<uint64_t>(b & 0x7F) << shift;
      if (b < 0x80) break;
    }
    return v;
  }
  bool next() {
    if (p >= end) return false;
    const uint64_t key = varint();
    field = static_cast<int>(key >> 3), type = static_cast<int>(key & 7);
    if (type == 0) {
      number = varint();
    } else if (type == 2) {
      const uint64_t n = varint();
      bytes = {reinterpret_cast<const char*>(p), n};
      p += n;
    } else {
      const int width = type == 1 ? 8 : 4;
      number = 0;
      std::memcpy(&number, p, static_cast<size_t>(width));
      p += width;
    }
    return true;
  }
};

struct Data {
  bool given = false, tensor = true;
  tw::DType dtype = tw::DType::kFloat32;
  std::vector<int64_t> dims;
  std::string bytes;  // dense, row-major, as tw stores it
};

using Value = std::variant<float, int64_t, std::string, std::vector<float>, std::vector<int64_t>, std::vector<std::string>, Data>;

struct Node {
  std::string op, domain;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Value> attributes;
};

struct Model {
  std::vector<Node> nodes;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Data> initializers;
  int64_t opset = 0;
};

inline bool dtype_of(int64_t code, tw::DType& out) {
  using D = tw::DType;
  static const std::map<int64_t, D> table = {
      {1, D::kFloat32}, {2, D::kUInt8}, {3, D::kInt8}, {4, D::kUInt16}, {5, D::kInt16}, {6, D::kInt32}, {7, D::kInt64}, {9, D::kBool},
      {10, D::kFloat16}, {11, D::kFloat64}, {12, D::kUInt32}, {13, D::kUInt64}, {14, D::kComplex64}, {15, D::kComplex128}, {16, D::kBFloat16},
      {17, D::kFloat8E4M3FN}, {18, D::kFloat8E4M3FNUZ}, {19, D::kFloat8E5M2}, {20, D::kFloat8E5M2FNUZ}, {21, D::kUInt4}, {22, D::kInt4},
      {23, D::kFloat4E2M1}, {24, D::kFloat8E8M0}};
  const auto it = table.find(code);
  if (it == table.end()) return false;
  out = it->second;
  return true;
}

template <typename T>
void append(std::string& to, T value, int bits) { to.append(reinterpret_cast<const char*>(&value), static_cast<size_t>(bits) / 8); }

inline Data read_tensor(std::string_view bytes, std::string* name = nullptr) {
  Data d;
  d.given = true;
  int64_t type = 1;
  std::vector<uint64_t> numbers;
  std::string floats, doubles, raw;
  for (Wire w(bytes); w.next();) {
    const auto packed = [&](auto each) {
      if (w.type != 2) return each(w.number);
      for (Wire list(w.bytes); list.p < list.end;) each(list.varint());
    };
    switch (w.field) {
      case 1: packed([&](uint64_t v) { d.dims.push_back(static_cast<int64_t>(v)); }); break;
      case 2: type = static_cast<int64_t>(w.number); break;
      case 4:
        if (w.type == 2) floats.append(w.bytes);
        else append(floats, static_cast<uint32_t>(w.number), 32);
        break;
      case 5: case 7: case 11: packed([&](uint64_t v) { numbers.push_back(v); }); break;
      case 8: if (name) *name = std::string(w.bytes); break;
      case 9: raw = std::string(w.bytes); break;
      case 10:
        if (w.type == 2) doubles.append(w.bytes);
        else append(doubles, w.number, 64);
        break;
    }
  }
  d.tensor = dtype_of(type, d.dtype);
  if (!d.tensor) return d;
  d.bytes = !raw.empty() ? raw : !floats.empty() ? floats : doubles;
  if (d.bytes.empty())
    for (uint64_t v : numbers) append(d.bytes, v, std::max(8, tw::info(d.dtype).bits));
  return d;
}

inline Node read_node(std::string_view bytes) {
  Node n;
  for (Wire w(bytes); w.next();) {
    if (w.field == 1) n.inputs.emplace_back(w.bytes);
    if (w.field == 2) n.outputs.emplace_back(w.bytes);
    if (w.field == 4) n.op = w.bytes;
    if (w.field == 7) n.domain = w.bytes;
    if (w.field != 5) continue;
    std::string name, s;
    int64_t type = 0, i = 0;
    float f = 0;
    Data t;
    std::vector<float> floats;
    std::vector<int64_t> ints;
    std::vector<std::string> strings;
    const auto float_of = [](uint64_t bits) {
      float v;
      std::memcpy(&v, &bits, 4);
      return v;
    };
    for (Wire a(w.bytes); a.next();) switch (a.field) {
        case 1: name = a.bytes; break;
        case 2: f = float_of(a.number); break;
        case 3: i = static_cast<int64_t>(a.number); break;
        case 4: s = a.bytes; break;
        case 5: t = read_tensor(a.bytes); break;
        case 7:
          if (a.type != 2) floats.push_back(float_of(a.number));
          else for (size_t k = 0; k + 4 <= a.bytes.size(); k += 4) {
            float v;
            std::memcpy(&v, a.bytes.data() + k, 4);
            floats.push_back(v);
          }
          break;
        case 8:
          if (a.type != 2) ints.push_back(static_cast<int64_t>(a.number));
          else for (Wire list(a.bytes); list.p < list.end;) ints.push_back(static_cast<int64_t>(list.varint()));
          break;
        case 9: strings.emplace_back(a.bytes); break;
        case 20: type = static_cast<int64_t>(a.number); break;
      }
    switch (type) {
      case 1: n.attributes[name] = f; break;
      case 2: n.attributes[name] = i; break;
      case 3: n.attributes[name] = s; break;
      case 4: n.attributes[name] = t; break;
      case 6: n.attributes[name] = floats; break;
      case 7: n.attributes[name] = ints; break;
      case 8: n.attributes[name] = strings; break;
    }
  }
  return n;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline Model read_model(const std::filesystem::path& path) {
  Model m;
  const std::string file = read_file(path);
  const auto value_name = [](std::string_view bytes) {
    std::string name;
    for (Wire w(bytes); w.next();)
      if (w.field == 1) name = w.bytes;
    return name;
  };
  for (Wire w(file); w.next();) {
    if (w.field == 8) {
      std::string domain;
      int64_t version = 0;
      for (Wire o(w.bytes); o.next();) {
        if (o.field == 1) domain = o.bytes;
        if (o.field == 2) version = static_cast<int64_t>(o.number);
      }
      if (domain.empty() || domain == "ai.onnx") m.opset = version;
    }
    if (w.field != 7) continue;
    for (Wire g(w.bytes); g.next();) {
      if (g.field == 1) m.nodes.push_back(read_node(g.bytes));
      if (g.field == 11) m.inputs.push_back(value_name(g.bytes));
      if (g.field == 12) m.outputs.push_back(value_name(g.bytes));
      if (g.field != 5) continue;
      std::string name;
      Data d = read_tensor(g.bytes, &name);
      m.initializers[name] = std::move(d);
    }
  }
  return m;
}

}  // namespace onnx
