"""Nothing a student does inside `check.run` comes back but the result, and nothing around it gets in.

Each promise is kept in a student's notebook and where a grader keeps the student's names apart from the test's.
"""

import pytest
from check_cells import DOUBLE

DOUBLE_IN_PLACE = """
    def double(x):
        x *= 2
        return x
"""


def test_a_student_changing_an_input_in_place_does_not_change_the_tests_copy(verdict):
    test = """
        x = torch.arange(3.)
        check.close(check.run(lambda: double(x)), 2 * torch.arange(3.), "doubled")
        check.close(x, torch.arange(3.), "untouched")
    """
    assert verdict(DOUBLE_IN_PLACE, test) == "passed"


def test_a_student_keeping_an_input_cannot_change_it_later(verdict):
    answer = """
        kept = []
        def keep(x):
            kept.append(x)
            for one in kept:
                one += 1
            return x.sum()
    """
    test = """
        x = torch.zeros(3)
        check.run(lambda: keep(x))
        check.run(lambda: keep(x))
        check.close(x, torch.zeros(3), "untouched")
    """
    assert verdict(answer, test) == "passed"


def test_a_result_is_no_alias_of_an_input_or_of_the_students_memory(verdict):
    answer = """
        import torch
        buffer = torch.zeros(3)
        def give(x):
            return x, buffer
    """
    test = """
        x = torch.zeros(3)
        first, second = check.run(lambda: give(x))
        first += 1
        second += 1
        check.close(x, torch.zeros(3), "untouched")
        check.close(check.run(lambda: buffer), torch.zeros(3), "untouched")
    """
    assert verdict(answer, test) == "passed"


def test_an_object_captured_twice_arrives_as_one_object(verdict):
    answer = """
        def same(a, b):
            return a is b
    """
    test = """
        x = torch.zeros(2)
        pair = [x, x]
        check.close(check.run(lambda: same(x, pair[0]) and same(*pair)), True, "one")
    """
    assert verdict(answer, test) == "passed"


def test_views_of_one_memory_arrive_as_separate_copies(verdict):
    test = """
        whole = torch.ones(4)
        half = whole[:2]
        check.close(check.run(lambda: (double(half), whole)[1]), torch.ones(4), "the other view")
    """
    assert verdict(DOUBLE_IN_PLACE, test) == "passed"


def test_a_transposed_or_expanded_input_keeps_its_strides(verdict):
    answer = """
        def strides(x):
            return x.stride()
    """
    test = """
        wide = torch.ones(2, 1).expand(2, 3).T
        check.close(check.run(lambda: strides(wide)), (0, 1), "strides")
    """
    assert verdict(answer, test) == "passed"


def test_a_class_stays_the_tests_own_after_a_probe(verdict):
    test = """
        class Counter:
            count = 0
            def grow(self):
                Counter.count += 1
                return Counter.count
        grow = Counter.grow
        for _ in range(3):
            check.close(check.run(lambda: Counter().grow()), 1, "a fresh copy")
        check.close(Counter.count, 0, "untouched")
        check.close(Counter.grow is grow, True, "the same method")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_a_module_and_its_state_travel_as_copies(verdict):
    answer = """
        import torch
        def train(model, x):
            model(x).sum().backward()
            torch.optim.SGD(model.parameters(), 1.).step()
            return model.state_dict()
    """
    test = """
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 1)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        after = check.run(lambda: train(model, torch.ones(1, 2)))
        check.close(after["bias"], before["bias"] - 1, "one step")
        check.close(model.state_dict(), before, "untouched")
        check.close(model.weight.grad, None, "no gradient")
    """
    assert verdict(answer, test) == "passed"


def test_a_leaf_that_requires_gradients_does_so_on_the_other_side_and_gets_none_here(verdict):
    answer = """
        def loss(x):
            return (x**2).sum()
    """
    test = """
        x = torch.ones(2, requires_grad=True)
        def gradient():
            loss(x).backward()
            return x.grad
        check.close(check.run(gradient), torch.full((2,), 2.), "gradient")
        check.close(x.grad, None, "untouched")
    """
    assert verdict(answer, test) == "passed"


def test_lists_and_dicts_of_the_test_are_copies(verdict):
    answer = """
        def fill(log, table):
            log.append(1)
            table["a"] = 2
    """
    test = """
        log, table = [], {}
        check.run(lambda: fill(log, table))
        check.close((log, table), ([], {}), "untouched")
    """
    assert verdict(answer, test) == "passed"


def test_a_global_set_inside_a_probe_does_not_come_back(verdict):
    test = """
        state = 1
        def change():
            global state
            state = double(state)
            return state
        check.close(check.run(change), 2, "")
        check.close(check.run(change), 2, "again")
        check.close(state, 1, "untouched")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_an_ambient_seed_and_disabled_gradients_do_not_travel(verdict):
    answer = """
        import torch
        def draw():
            return torch.rand(2), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        def slope(x):
            (x**2).sum().backward()
            return x.grad
    """
    test = """
        torch.manual_seed(5)
        first = check.run(lambda: draw())
        for around in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)):
            torch.manual_seed(6)
            with around:
                check.close(check.run(lambda: draw()), first, "")
                check.close(check.run(lambda: slope(torch.ones(2, requires_grad=True))), torch.full((2,), 2.), "")
                check.close(check.run(lambda: (torch.ones(1, 1) @ torch.ones(1, 1))), torch.ones(1, 1), "")
        check.close(first[1:], (True, False), "gradients on")
    """
    assert verdict(answer, test) == "passed"


def test_an_inference_tensor_of_the_test_can_take_part_in_training(verdict):
    answer = """
        def slope(x):
            x.requires_grad_()
            (x**2).sum().backward()
            return x.grad
    """
    test = """
        with torch.inference_mode():
            x = torch.ones(2)
            got = check.run(lambda: slope(x))
        check.close(got, torch.full((2,), 2.), "")
    """
    assert verdict(answer, test) == "passed"


def test_a_torch_generator_of_the_test_travels_with_its_state(verdict):
    answer = """
        import torch
        def draw(g):
            return torch.rand(2, generator=g)
    """
    test = """
        g = torch.Generator().manual_seed(3)
        first = check.run(lambda: draw(g))
        check.close(check.run(lambda: draw(g)), first, "")
        check.close(torch.rand(2, generator=g), first, "untouched")
    """
    assert verdict(answer, test) == "passed"


@pytest.mark.parametrize("function", ["torch.rand(3)", "numpy.random.rand(3)", "random.random()"])
def test_a_probe_leaves_the_callers_random_numbers_alone_and_draws_its_own_from_seed(function, verdict):
    answer = "import torch, numpy, random"
    test = f"""
import torch, numpy, random
def restart():
    torch.manual_seed(1), numpy.random.seed(1), random.seed(1)
def draw():
    return torch.as_tensor({function})
restart()
undisturbed = draw()
restart()
first, again, other = (check.run(lambda: draw(), seed=seed) for seed in (0, 0, 8))
check.close(draw(), undisturbed, "the caller's")
check.close(first, again, "the same seed")
check.close(bool((first != other).any()), True, "another seed")
try:
    check.run(lambda: draw() / None, seed=3)
except check.CheckFailed:
    pass
restart()
check.close(draw(), undisturbed, "the caller's, after an error")
"""
    assert verdict(answer, test) == "passed"


def test_autocast_of_the_students_casts_changed_weights_anew(verdict):
    answer = """
        import torch
        def two_steps():
            weight, seen = torch.nn.Parameter(torch.ones(1, 1)), []
            for _ in range(2):
                with torch.autocast("cpu", torch.bfloat16):
                    seen.append((torch.ones(1, 1) @ weight).item())
                weight.data += 1
            return seen
    """
    assert verdict(answer, 'check.close(check.run(lambda: two_steps()), [1.0, 2.0], "two steps")') == "passed"
