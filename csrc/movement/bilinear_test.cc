#include <cstring>

#include "movement/bilinear.h"
#include "testing/testing.h"

namespace bitwright::movement {
namespace {

using testing::Random;

struct Case {
    Type type;
    bool of_floats, away;
    int n, h, w, c, oh, ow, bits, coarse;  // coarse: low bits of the weights that are 0
};

BilinearAxis draw(Random& random, int size, int resized, const Case& c) {
    BilinearAxis axis;
    axis.bits = c.bits;
    for (int i = 0; i < resized; ++i) {
        const int before = random.between(0, size - 1);
        axis.before.push_back(before);
        axis.after.push_back(before + 1 < size ? before + 1 : before);
        const int weight = random.between(0, 1 << c.bits) >> c.coarse << c.coarse;
        if (c.of_floats) {
            axis.fraction.push_back(static_cast<float>(weight) / static_cast<float>(1 << c.bits));
        } else {
            axis.weight.push_back(weight);
        }
    }
    return axis;
}

Tensor image(Type type, int n, int h, int w, int c, int gap) {
    Tensor t;
    t.type = type, t.rank = 4;
    t.dims = {n, h, w, c};
    t.strides = {(w * (c + gap) + gap) * h, w * (c + gap) + gap, c + gap, 1};
    return t;
}

void check_case(Random& random, const Case& c) {
    const Tensor x = image(c.type, c.n, c.h, c.w, c.c, random.between(0, 1)),
                 y = image(c.type, c.n, c.oh, c.ow, c.c, random.between(0, 1));
    const std::size_t bytes = bytes_of(c.type);
    auto of_x = random.fill<std::uint8_t>(static_cast<std::size_t>(x.dims[0] * x.strides[0]) * bytes, 0, 255);
    if (c.type == Type::f32)
        for (std::size_t i = 0; i < of_x.size(); i += 4) {
            const float value = static_cast<float>(random.between(-1000, 1000)) / 7.0f;
            std::memcpy(of_x.data() + i, &value, 4);
        }
    const std::vector<std::uint8_t> untouched(static_cast<std::size_t>(y.dims[0] * y.strides[0]) * bytes, 99);
    const BilinearAxis rows = draw(random, c.h, c.oh, c), columns = draw(random, c.w, c.ow, c);
    std::vector<std::uint8_t> expected;
    for (int isa = 0; isa <= static_cast<int>(detected_isa()); ++isa) {
        const BilinearStep step(static_cast<Isa>(isa), 0, x, 1, y, rows, columns, c.away, c.away ? 128 : 0);
        auto of_y = untouched;
        std::vector<std::byte> scratch(step.scratch_bytes());
        std::byte* const tensors[] = {reinterpret_cast<std::byte*>(of_x.data()),
                                      reinterpret_cast<std::byte*>(of_y.data())};
        step.run({tensors}, 0, step.tasks(), scratch.data());
        if (isa == 0) expected = of_y;
        CHECK(of_y == expected);
    }
}

}  // namespace

TEST(bilinear_kernels_agree) {
    Random random(1);
    const Case kinds[] = {{Type::u8, false, false, 0, 0, 0, 0, 0, 0, 11, 0},
                          {Type::u8, false, true, 0, 0, 0, 0, 0, 0, 10, 0},
                          {Type::u8, true, false, 0, 0, 0, 0, 0, 0, 8, 0},
                          {Type::i16, false, true, 0, 0, 0, 0, 0, 0, 10, 0},
                          {Type::f32, true, false, 0, 0, 0, 0, 0, 0, 8, 0}};
    for (int round = 0; round < 40; ++round)
        for (Case c : kinds) {
            c.n = random.between(1, 2), c.h = random.between(1, 6), c.w = random.between(1, 6),
            c.c = random.between(1, 40);
            c.oh = random.between(1, 9), c.ow = random.between(1, 9);
            for (const int coarse : {0, 5, c.bits - 4, c.bits - 1, c.bits}) {
                c.coarse = coarse;
                check_case(random, c);
            }
        }
}

TEST(bilinear_rounds_ties_as_told) {
    const Tensor x = image(Type::u8, 1, 1, 2, 1, 0), y = image(Type::u8, 1, 1, 1, 1, 0);
    const BilinearAxis row{{0}, {0}, {0}, {}, 10}, column{{0}, {1}, {512}, {}, 10};
    for (int isa = 0; isa <= static_cast<int>(detected_isa()); ++isa)
        for (const bool away : {false, true}) {
            std::uint8_t of_x[] = {127, 128}, of_y[] = {0};  // -1 and 0
            std::byte scratch[16];
            std::byte* const tensors[] = {reinterpret_cast<std::byte*>(of_x), reinterpret_cast<std::byte*>(of_y)};
            BilinearStep(static_cast<Isa>(isa), 0, x, 1, y, row, column, away, 128).run({tensors}, 0, 1, scratch);
            CHECK(of_y[0] == (away ? 127 : 128));
        }
}

}  // namespace bitwright::movement
