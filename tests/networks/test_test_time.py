from __future__ import annotations

import pytest
import torch

from labelmine.labelers.prediction import predict
from labelmine.networks import Student, TestTimeAverage, probabilities


@pytest.fixture(scope="module", params=[False, True], ids=["independent", "exclusive"])
def student(request: pytest.FixtureRequest) -> Student:
    torch.manual_seed(0)
    return Student(["a", "b"], "mobilenet_v2", exclusive=request.param).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_it_is_the_mean_over_all_flips_and_turns(student: Student, images: torch.Tensor) -> None:
    found = []
    with torch.no_grad():
        for transposed in (False, True):  # the same eight views, made another way
            for dims in ((), (-1,), (-2,), (-2, -1)):
                view = (images.mT if transposed else images).flip(dims)
                answer = probabilities(student(view), student.exclusive).flip(dims)
                found.append(answer.mT if transposed else answer)
    mean = torch.stack(found).mean(0)
    averaged = probabilities(TestTimeAverage(student)(images), student.exclusive)
    torch.testing.assert_close(averaged, mean, atol=1e-5, rtol=1e-4)
    assert (found[0] - mean).abs().max() > 1e-3, "one look is not the mean"


def test_a_turned_image_gets_the_turned_answer(student: Student, images: torch.Tensor) -> None:
    average = TestTimeAverage(student)
    turned = average(torch.rot90(images, 1, (-2, -1)).flip(-1))
    torch.testing.assert_close(turned, torch.rot90(average(images), 1, (-2, -1)).flip(-1), atol=1e-3, rtol=1e-3)


def test_a_student_in_training_comes_back_in_training(student: Student, images: torch.Tensor) -> None:
    before = {name: value.clone() for name, value in student.state_dict().items()}
    student.train()
    first = predict(TestTimeAverage(student), {"image": images}, student.exclusive)
    assert student.training
    student.eval()
    assert torch.equal(predict(TestTimeAverage(student), {"image": images}, student.exclusive), first)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
