// Who writes what: each element of a result must be written by exactly one block.
#ifndef MASKRCNN_EMULATED_WRITES_H_
#define MASKRCNN_EMULATED_WRITES_H_

#include <cstring>
#include <vector>

#include "gpu.h"

namespace emulated {

// Watches results while it lives. Between blocks it puts away what was written, and poisons the
// place again.
class Writes {
 public:
  Writes() {
    living = this;
    after_block = [] { living->collect(); };
  }
  Writes(const Writes&) = delete;
  ~Writes() { after_block = nullptr; }

  template <typename T>
  void watch(std::vector<T>& values) {
    if (values.empty()) return;
    Watched watched = {reinterpret_cast<unsigned char*>(values.data()), sizeof(T), {}, {}};
    watched.values.resize(values.size() * sizeof(T));
    watched.writes.resize(values.size());
    std::memset(watched.at, kPoison, watched.values.size());
    all.push_back(watched);
  }

  // Puts the values back.
  bool each_once() {
    bool once = true;
    for (Watched& watched : all) {
      for (int count : watched.writes) once &= count == 1;
      std::memcpy(watched.at, watched.values.data(), watched.values.size());
    }
    all.clear();
    return once;
  }

 private:
  static constexpr unsigned char kPoison = 0xa5;

  struct Watched {
    unsigned char* at;
    size_t unit;
    std::vector<unsigned char> values;
    std::vector<int> writes;
  };

  void collect() {
    unsigned char unwritten[16];
    std::memset(unwritten, kPoison, sizeof(unwritten));
    for (Watched& watched : all)
      for (size_t i = 0; i < watched.writes.size(); ++i) {
        unsigned char* element = watched.at + i * watched.unit;
        if (std::memcmp(element, unwritten, watched.unit) == 0) continue;
        ++watched.writes[i];
        std::memcpy(&watched.values[i * watched.unit], element, watched.unit);
        std::memset(element, kPoison, watched.unit);
      }
  }

  static inline Writes* living = nullptr;
  std::vector<Watched> all;
};

}  // namespace emulated

#endif  // MASKRCNN_EMULATED_WRITES_H_
