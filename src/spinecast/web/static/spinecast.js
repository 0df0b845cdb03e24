// Conveniences only: every page works without this file.
"use strict";

// A number typed takes back its "not known", and the other way round.
document.addEventListener("input", (event) => {
  const box = event.target.closest(".boxed");
  if (!box) return;
  const tick = box.querySelector("input[type=checkbox]");
  const number = box.querySelector("input[type=text]");
  if (!tick || !number) return;
  if (event.target === tick && tick.checked) number.value = "";
  if (event.target === number && number.value) tick.checked = false;
});

// Questions that need no answer, given the others, are put away while they are empty.
const depending = document.querySelectorAll("[data-asked-when]");
async function putAway(form) {
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch("/asked", { method: "POST", body });
  if (!answer.ok) return;
  const names = new Set((await answer.text()).split("\n"));
  for (const question of depending) {
    const answered = question.querySelector(":checked, input[type=text]:not([value=''])");
    question.hidden = names.has(question.id.slice(2)) && !answered;
  }
}
if (depending.length) {
  const form = depending[0].closest("form");
  let waiting;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => putAway(form), 150);
  };
  form.addEventListener("change", soon);
  soon();
}

// Going back shows the form as it was left: this entry of the tab's history keeps it, nothing else.
const answers = document.querySelector("form[action='/result'][novalidate]");
if (answers) {
  answers.addEventListener("submit", () => {
    history.replaceState([...new FormData(answers)], "");
  });
  for (const [name, value] of history.state || []) {
    for (const field of answers.querySelectorAll(`[name="${name}"]`)) {
      if (field.type !== "radio" && field.type !== "checkbox") field.value = value;
      else if (field.value === value) field.checked = true;
    }
    const folded = answers.querySelector(`[name="${name}"]`)?.closest("details.more");
    if (folded && value) folded.open = true;
  }
}

// Where something is wrong, that is what is read first.
const wrongs = document.getElementById("wrongs") || document.querySelector("[aria-invalid]");
if (wrongs) wrongs.focus();

for (const button of document.querySelectorAll("button.print")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
