// Face: the inputs and outputs of a plan as numpy arrays by name: what a session calls in every run.
#pragma once

#include <string>
#include <vector>

#include "python/bind.h"

namespace bitwright {

// One input or output: a C-contiguous array.
struct Port {
    nb::str name;
    std::string format;  // of the buffer protocol, such as "b" or "f"
    std::vector<Py_ssize_t> shape;
    nb::object dtype;
};

class Face {
  public:
    Face(nb::object plan, std::vector<Port> inputs, std::vector<Port> outputs);

    // New arrays with the outputs, in order; None where an input is not there, or is no array of its type and shape.
    nb::object run(nb::dict feeds);

  private:
    nb::object plan_object_;
    Plan& plan_;
    std::vector<Port> inputs_, outputs_;
    std::vector<nb::tuple> output_shapes_;
    nb::object empty_;
};

void bind_face(nb::module_& m);

}  // namespace bitwright
