// Buffers: the caller's arrays, held for one run.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "python/bind.h"

namespace bitwright {

class Buffers {
  public:
    explicit Buffers(int count) : count_(count) {
        if (count > most) throw std::invalid_argument("more inputs and outputs than a session takes");
    }
    Buffers(const Buffers&) = delete;
    Buffers& operator=(const Buffers&) = delete;
    ~Buffers() {
        for (int i = 0; i < held_; ++i) PyBuffer_Release(&views_[i]);
    }

    // Throws what Python raises for an array that is not C-contiguous, or read-only where it is written.
    void hold(PyObject* array, bool writable) {
        const int flags = writable ? PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE : PyBUF_C_CONTIGUOUS;
        if (held_ == count_) throw std::invalid_argument("too many arrays");
        if (PyObject_GetBuffer(array, &views_[held_], flags) != 0) throw nb::python_error();
        starts_[held_] = static_cast<std::byte*>(views_[held_].buf);
        ++held_;
    }

    // Whether it is a C-contiguous array of that type and shape, which is then held.
    bool hold_exactly(PyObject* array, const std::string& format, const std::vector<Py_ssize_t>& shape) {
        if (held_ == count_ || !PyObject_CheckBuffer(array)) return false;
        Py_buffer& view = views_[held_];
        if (PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) {
            PyErr_Clear();
            return false;
        }
        bool fits = view.ndim == static_cast<int>(shape.size()) && view.format != nullptr && format == view.format;
        for (int i = 0; fits && i < view.ndim; ++i) fits = view.shape[i] == shape[static_cast<std::size_t>(i)];
        if (!fits) {
            PyBuffer_Release(&view);
            return false;
        }
        starts_[held_++] = static_cast<std::byte*>(view.buf);
        return true;
    }

    std::int64_t bytes(int index) const { return views_[index].len; }
    std::byte* const* starts() const { return starts_; }
    int held() const { return held_; }

  private:
    static constexpr int most = 256;
    const int count_;
    int held_ = 0;
    Py_buffer views_[most];
    std::byte* starts_[most];
};

}  // namespace bitwright
