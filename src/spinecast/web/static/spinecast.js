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

// Where something is wrong, that is what is read first.
const wrongs = document.getElementById("wrongs");
if (wrongs) wrongs.focus();

for (const button of document.querySelectorAll("button.print")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
