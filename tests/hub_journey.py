"""A lesson goes round in a real browser: fetched, solved, submitted, graded by the button, commented, read.

Part of test_hub_roles.py, for its hub. Pictures of it are in build/hub/screenshots.
"""

from dataclasses import dataclass, field
from pathlib import Path

from hub_browser import browser, log_in
from hub_course import ROOT
from playwright.sync_api import Browser, Page, expect
from running_hub import RunningHub
from torchgrade.lessons.master import nbgrader, read_notebook

LESSON = "01_pytorch_fundamentals"
ANSWER = """\
def windows(x, size, step):
    count = (len(x) - size) // step + 1
    return x.as_strided((count, size), (step * x.stride(0), x.stride(0)))"""
COMMENT = "Short and right. Which view does unfold give?"
STUDENT = "student-04"
FORMGRADER = "/services/pytorch/formgrader"


@dataclass
class Journey:
    hub: RunningHub
    chromium: Browser
    screenshots: Path
    pages: dict[str, Page] = field(default_factory=dict)

    def page(self, name: str) -> Page:
        if name not in self.pages:
            self.pages[name] = log_in(self.chromium, self.hub.address, name, self.hub.passwords[name])
        return self.pages[name]

    def show(self, name: str, picture: str) -> None:
        self.page(name).wait_for_timeout(300)  # for what moves into its place
        self.page(name).screenshot(path=self.screenshots / f"{picture}.png", animations="disabled")


def travel(hub: RunningHub) -> None:
    """All steps in order; each builds on those before."""
    screenshots = ROOT / "build" / "hub" / "screenshots"
    screenshots.mkdir(parents=True, exist_ok=True)
    steps = (
        the_log_in_says_that_nobody_is_isolated,
        a_student_finds_the_released_lesson_and_fetches_it,
        the_lesson_opens_in_lab_and_an_exercise_is_solved,
        validating_says_what_is_solved_and_what_is_not,
        the_student_submits,
        the_instructor_collects_from_the_formgrader,
        the_instructor_autogrades_by_the_button,
        a_ta_comments_on_an_answer,
        feedback_is_made_and_released,
        the_student_reads_the_feedback_which_holds_no_secret,
    )
    with browser() as chromium:
        journey = Journey(hub, chromium, screenshots)
        for step in steps:
            step(journey)


def the_log_in_says_that_nobody_is_isolated(journey: Journey) -> None:
    page = journey.chromium.new_page()
    page.goto(journey.hub.address)
    expect(page.get_by_text("this hub isolates nobody")).to_be_visible()
    page.screenshot(path=journey.screenshots / "1_log_in.png")
    page.close()


def a_student_finds_the_released_lesson_and_fetches_it(journey: Journey) -> None:
    page = journey.page(STUDENT)
    page.get_by_role("menuitem", name="Nbgrader").click()
    expect(page.get_by_role("menu").get_by_role("menuitem")).to_have_text(["Assignment List"])  # and nothing else
    page.get_by_role("menuitem", name="Assignment List").click()
    released = page.locator("#released_assignments_list")
    expect(released).to_contain_text(LESSON)
    journey.show(STUDENT, "2_assignment_list")
    released.locator(".list_item", has_text=LESSON).get_by_role("button", name="Fetch").click()
    expect(page.locator("#fetched_assignments_list")).to_contain_text(LESSON)


def the_lesson_opens_in_lab_and_an_exercise_is_solved(journey: Journey) -> None:
    page = journey.page(STUDENT)
    fetched = page.locator("#fetched_assignments_list")
    fetched.get_by_role("button", name=LESSON).click()
    fetched.get_by_role("link", name=LESSON).click()
    notebook = page.locator(".jp-NotebookPanel")
    expect(notebook.get_by_role("heading", name="Lesson 01")).to_be_visible()
    journey.show(STUDENT, "3_lesson_in_lab")
    cell = notebook.locator(".jp-CodeCell", has_text="def windows(x, size, step)")
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(ANSWER)
    page.keyboard.press("Control+S")
    expect(page.get_by_text("Saving completed")).to_be_visible()
    saved = read_notebook(journey.hub.folder / "homes" / STUDENT / LESSON / f"{LESSON}.ipynb")
    assert next(cell.source for cell in saved.cells if nbgrader(cell).get("grade_id") == "windows") == ANSWER


def validating_says_what_is_solved_and_what_is_not(journey: Journey) -> None:
    page = journey.page(STUDENT)
    page.locator(".validate-button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Exercise 1.2: not answered yet")
    expect(dialog).not_to_contain_text("Check 1.1 (1 point)")
    journey.show(STUDENT, "4_validation")
    dialog.get_by_role("button", name="Ok").click()


def the_student_submits(journey: Journey) -> None:
    page = journey.page(STUDENT)
    page.get_by_role("tab", name="Assignments").click()
    page.locator("#fetched_assignments_list").get_by_role("button", name="Submit").click()
    expect(page.locator("#submitted_assignments_list")).to_contain_text("UTC")


def the_instructor_collects_from_the_formgrader(journey: Journey) -> None:
    page = journey.page("instructor")
    row = page.get_by_role("row", name=LESSON)
    expect(row).to_contain_text("released")
    journey.show("instructor", "5_formgrader")
    row.locator(".collect a").click()
    close_modal(page, f"Successfully collected submissions of '{LESSON}'")
    expect(row.locator(".num-submissions")).to_have_text("1")


def the_instructor_autogrades_by_the_button(journey: Journey) -> None:
    page = journey.page("instructor")
    page.get_by_role("row", name=LESSON).locator(".num-submissions a").click()
    row = page.get_by_role("row", name=STUDENT)
    expect(row).to_contain_text("needs autograding")
    row.locator(".autograde a").click()
    close_modal(page, f"Successfully autograded '{LESSON}' for student '{STUDENT}'")
    expect(row.locator(".score")).to_have_text("4 / 43")
    journey.show("instructor", "6_submissions")


def a_ta_comments_on_an_answer(journey: Journey) -> None:
    page = journey.page("ta")
    page.get_by_role("link", name="Manual Grading").click()
    for _ in ("the lesson", "its notebook", "the submission"):
        page.locator("#main-table a:visible").first.click()
    expect(page.get_by_text("Submission 1 / 1")).to_be_visible()
    comment = page.locator("#windows-comment")
    comment.scroll_into_view_if_needed()
    comment.fill(COMMENT)
    comment.blur()
    expect(page.locator(".comment-saved:visible, .glyphicon-ok:visible").first).to_be_visible()
    journey.show("ta", "7_ta_reviewing")
    page.reload()
    expect(page.locator("#windows-comment")).to_have_value(COMMENT)


def feedback_is_made_and_released(journey: Journey) -> None:
    page = journey.page("instructor")
    page.get_by_role("link", name="Manage Assignments").click()
    row = page.get_by_role("row", name=LESSON)
    for column, said in (("generate-feedback", "generated feedback"), ("release-feedback", "released feedback")):
        row.locator(f".{column} a").click()
        close_modal(page, f"Successfully {said}")


def the_student_reads_the_feedback_which_holds_no_secret(journey: Journey) -> None:
    page = journey.page(STUDENT)
    page.locator("#refresh_assignments_list").click()
    submitted = page.locator("#submitted_assignments_list")
    expect(submitted).to_contain_text("feedback available to fetch")
    submitted.get_by_role("button", name="Fetch Feedback").click()
    submitted.get_by_text("view feedback").click()
    page.locator(".jp-DirListing-item", has_text=".html").dblclick()
    feedback = page.frame_locator(".jp-HTMLViewer iframe, iframe").first
    expect(feedback.locator(".score")).to_contain_text("4 of 43 points")
    expect(feedback.get_by_text(COMMENT)).to_be_visible()
    journey.show(STUDENT, "8_feedback")
    done = journey.hub.torchgrade(
        "lesson", "leaks", LESSON, "--feedback", "feedback", course=journey.hub.folder / "course"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def close_modal(page: Page, text: str) -> None:
    modal = page.locator(".modal.in")
    expect(modal).to_contain_text(text)
    modal.get_by_role("button", name="OK").click()
    expect(modal).to_have_count(0)
