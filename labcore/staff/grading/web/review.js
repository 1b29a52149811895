"use strict";

const token = new URLSearchParams(location.search).get("token");
const at = (id) => document.getElementById(id);
const PAUSE = 500; // milliseconds after the last letter until it is saved
const LOOK = 3000; // milliseconds between looks at the file
const GONE =
  "labcore review does not answer: is it still running in the terminal? What you " +
  "typed is still here.";

let questions = [], phrases = [];
let question, place = 0; // what is shown: a question, and an answer's place in it
let shown = null; // points, comment and ticks that the file has for this answer
let longest = Infinity; // characters of a comment
let version = 0, named = false, timer = 0, saving = null;
let moving = false; // on the way to another answer: what is pressed belongs to that one
const held = []; // keys pressed meanwhile

async function ask(path, content = {}) {
  let reply;
  try {
    reply = await fetch(path, {
      method: "POST",
      headers: {"Authorization": `token ${token}`, "Content-Type": "application/json"},
      body: JSON.stringify(content),
    });
  } catch {
    return {ok: false, fault: GONE};
  }
  if (reply.status === 403) return {ok: false, fault: await reply.text()};
  const found = await reply.json();
  return {...found, ok: reply.ok, conflict: reply.status === 409};
}

function say(text, bad = false) {
  if (at("status").textContent === text) return; // else it is read aloud again
  at("status").textContent = text;
  at("status").className = bad ? "bad" : "";
}

function inWords(points, none) {
  return points === "" ? none : `${points} ${points === "1" ? "point" : "points"}`;
}

// what the file holds

// Draws everything anew, unless somebody is at work: then the next look does it.
async function load() {
  const found = await ask("/state");
  if (!found.ok) return say(found.fault, true);
  if (!found.questions.length) return say("review.csv has no answer any more.", true);
  const [student, id] = shown ? [question.students[place], question.id] : found.place;
  const now = found.questions.find((one) => one.id === id) || found.questions[0];
  const known = now.students.indexOf(student);
  const where = known >= 0 ? known : Math.max(0, now.points.indexOf(""));
  const answer = await ask("/answer", {question: now.id, student: now.students[where]});
  if (!answer.ok) return say(answer.fault, true);
  if (shown && (moving || saving || !same(shown, typed()))) return;
  ({questions, phrases, version, longest} = found);
  question = now;
  at("question").replaceChildren(...questions.map((one) => {
    const title = `${one.id} ${one.title}`;
    return new Option(title, one.id, false, one === question);
  }));
  drawQuestion();
  drawPhrases();
  show(where, answer);
}

async function open(where) {
  const found = await ask("/answer",
    {question: question.id, student: question.students[where]});
  if (found.ok) show(where, found);
  else say(found.fault, true);
}

function show(where, found) {
  place = where;
  shown = found;
  at("answer").textContent = found.answer;
  at("answer").scrollTop = 0;
  at("changed").hidden = !found.changed;
  fill(found);
  drawWhich();
  const points = inWords(found.points, "not read yet");
  say(`Answer ${place + 1} of ${question.students.length}: ${points}.`);
}

function fill(values) {
  at("points").value = values.points;
  at("comment").value = values.comment;
  boxes().forEach((box, index) => { box.checked = values.ticks.includes(index); });
  at("conflict").hidden = true;
}

function typed() {
  const ticks = boxes().flatMap((box, index) => box.checked ? [index] : []);
  return {points: at("points").value.trim(), comment: at("comment").value.trim(), ticks};
}

function same(one, other) {
  return one.points === other.points && one.comment === other.comment &&
    one.ticks.join() === other.ticks.join();
}

// Saves what is typed, one request after the other; true if the file has all of it.
// A comment that is too long waits in its box, and everything else is saved.
async function save() {
  clearTimeout(timer);
  while (saving) await saving;
  if (!shown) return true;
  if (same(shown, typed())) {
    if (at("status").textContent.startsWith("Not saved:")) say("Saved.");
    return true;
  }
  const values = typed();
  if (!at("conflict").hidden) {
    say("Choose first which points stay.", true);
    return false;
  }
  if (!isNumber(values.points)) {
    say(`Not saved: ${values.points} is no number from 0 to ${question.of}.`, true);
    return false;
  }
  const fault = values.comment === shown.comment ? "" : tooLong(values.comment);
  if (fault) values.comment = shown.comment;
  if (!same(shown, values)) {
    saving = send(values);
    const saved = await saving;
    saving = null;
    if (!saved) return false;
  }
  if (fault) say(`Not saved: ${fault}. Everything else is saved.`, true);
  return !fault;
}

function tooLong(comment) {
  const [has, most] = [comment.length, longest].map((n) => n.toLocaleString("en"));
  return comment.length <= longest ? "" :
    `this comment has ${has} characters; shorten it to ${most} or fewer`;
}

function isNumber(points) {
  const value = Number(points.replace(",", "."));
  return points === "" || (value >= 0 && value <= question.of);
}

async function send(values) {
  const seen = [shown.points, shown.comment];
  const which = {question: question.id, student: question.students[place]};
  say("Saving …");
  const found = await ask("/save", {...which, ...values, seen});
  if (found.conflict) return differs(which);
  if (!found.ok) {
    say(`Not saved: ${found.fault}`, true);
    return false;
  }
  Object.assign(shown, values);
  question.points[place] = values.points;
  at("changed").hidden = true;
  drawProgress();
  say(same(values, typed()) ? "Saved." : "Saving …");
  notice(found);
  return true;
}

async function differs(which) {
  const found = await ask("/answer", which);
  if (!found.ok) {
    say(`Not saved: ${found.fault}`, true);
    return false;
  }
  shown = found;
  at("conflict").hidden = false;
  const short = found.comment.slice(0, 200) + (found.comment.length > 200 ? " …" : "");
  const comment = short === "" ? "no comment" : `the comment “${short}”`;
  say("Not saved, because the file changed since you opened this answer. It has " +
    `${inWords(found.points, "no points")} and ${comment}. Choose one.`, true);
  return false;
}

function soon(pause) {
  clearTimeout(timer);
  timer = setTimeout(save, pause);
}

async function look() {
  if (document.hidden || !shown) return;
  const found = await ask("/look");
  if (!found.ok) return say(found.fault, true);
  if (at("status").textContent === GONE) say("It answers again.");
  if (!same(shown, typed()) && !saving && at("conflict").hidden) await save();
  if (found.version > version) await load();
  notice(found);
}

function notice(found) {
  if (found.notice) at("notice").textContent = found.notice;
}

// going from answer to answer

async function go(where) {
  if (where < 0 || where >= question.students.length) {
    return say(where < 0 ? "This is the first answer." : "This is the last answer.");
  }
  if (await save()) await open(where);
}

function unread() {
  const {points} = question;
  for (let step = 1; step < points.length; step += 1) {
    const where = (place + step) % points.length;
    if (points[where] === "") return go(where);
  }
  return save().then((saved) => {
    if (saved) say("All other answers to this question have points.");
  });
}

async function change(id) {
  if (!await save()) {
    at("question").value = question.id;
    return;
  }
  question = questions.find((one) => one.id === id);
  at("question").value = id;
  drawQuestion();
  await open(Math.max(0, question.points.indexOf("")));
}

// drawing

const boxes = () => [...at("items").querySelectorAll("input")];

function made(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function drawQuestion() {
  at("of").textContent = `of ${question.of}`;
  at("asked-text").textContent = question.text;
  at("asked").hidden = question.text === "";
  at("model-text").textContent = question.model;
  at("items").replaceChildren(...question.items.map((item, index) => {
    const box = made("input", "");
    box.type = "checkbox";
    box.addEventListener("change", ticked);
    const key = index < 10 ? `${(index + 1) % 10}: ` : "";
    const label = made("label", "");
    label.append(box, `${key}${item.text} (${item.points})`);
    return label;
  }));
  if (!question.items.length) at("items").append(made("p", question.rubric));
  drawProgress();
}

function drawProgress() {
  const read = question.points.filter((points) => points !== "").length;
  at("progress").textContent = `${read} of ${question.points.length} have points`;
}

function drawWhich() {
  const student = made("bdi", question.students[place]);
  const which = `Answer ${place + 1} of ${question.students.length}`;
  at("which").replaceChildren(named ? `${which}: ` : which, ...(named ? [student] : []));
  at("name").textContent = `${named ? "Hide" : "Show"} the name (n)`;
}

function drawPhrases() {
  at("phrases").replaceChildren(...phrases.map((phrase, index) => {
    const use = made("button", phrase);
    use.addEventListener("click", () => usePhrase(index));
    const drop = made("button", "Drop");
    drop.setAttribute("aria-label", `Drop comment ${index + 1}`);
    drop.addEventListener("click", () => keepPhrases(phrases.filter((p) => p !== phrase)));
    const line = made("li", "");
    line.append(use, " ", drop);
    return line;
  }));
}

// what people do

function ticked() {
  const earned = question.items.filter((item, index) => boxes()[index].checked);
  at("points").value = earned.reduce((sum, item) => sum + item.points, 0);
  soon(0);
}

function tick(choose) {
  boxes().forEach((box, index) => { box.checked = choose(box, index); });
  if (boxes().length) ticked();
}

function usePhrase(index) {
  if (!phrases[index]) return;
  const comment = at("comment").value.trim();
  at("comment").value = comment ? `${comment}\n${phrases[index]}` : phrases[index];
  soon(0);
}

async function keepPhrases(changed) {
  const found = await ask("/phrases", {phrases: changed});
  if (!found.ok) return say(found.fault, true);
  phrases = changed;
  drawPhrases();
}

function keepComment() {
  const comment = at("comment").value.trim();
  const fault = tooLong(comment);
  if (fault) return say(`Not kept: ${fault}.`, true);
  if (comment && !phrases.includes(comment)) keepPhrases([...phrases, comment]);
}

function clear() {
  tick(() => false);
  at("points").value = "";
  soon(0);
}

function zero() {
  tick(() => false);
  at("points").value = "0";
  soon(0);
}

function nextQuestion() {
  const index = questions.indexOf(question);
  return change(questions[(index + 1) % questions.length].id);
}

function focus(id) {
  const field = at(id);
  field.focus();
  field.setSelectionRange(id === "points" ? 0 : field.value.length, field.value.length);
}

function flipName() {
  named = !named;
  drawWhich();
}

function flip(id) {
  at(id).open = !at(id).open;
}

const FIELDS = "input:not([type=checkbox]), textarea, select";
const KEYS = {
  j: () => go(place + 1), k: () => go(place - 1), u: unread, q: nextQuestion,
  a: () => tick(() => true), z: zero, x: clear, s: keepComment,
  p: () => focus("points"), c: () => focus("comment"), n: flipName,
  t: () => flip("asked"), m: () => flip("model"),
  "?": () => at("help").showModal(),
};

// What a key does now; nothing if it is for the browser.
function action(event) {
  const field = document.activeElement.closest(FIELDS);
  if (event.key === "Escape" && field) return () => field.blur();
  if (event.key === "Enter" && event.ctrlKey) {
    return () => {
      document.activeElement.blur();
      return unread();
    };
  }
  if (field || event.ctrlKey || !at("on").checked || !shown) return null;
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  const index = digit ? (Number(digit[1]) + 9) % 10 : -1;
  if (digit && event.shiftKey) return () => usePhrase(index);
  if (digit) return () => boxes()[index]?.click();
  return KEYS[event.key.toLowerCase()];
}

function pressed(event) {
  if (at("help").open || event.altKey || event.metaKey) return;
  const act = moving ? null : action(event);
  if (moving) held.push(event);
  else if (act) run(act);
  else return;
  event.preventDefault();
}

// Does one thing, and then what was pressed while it went to another answer.
async function run(act) {
  if (moving) return;
  moving = true;
  document.body.classList.add("moving");
  await act();
  while (held.length) {
    const event = held.shift();
    const next = action(event);
    if (next) await next();
    else write(event.key);
  }
  moving = false;
  document.body.classList.remove("moving");
}

function write(key) {
  const field = document.activeElement.closest(FIELDS);
  if (!field?.setRangeText || key.length !== 1) return;
  field.setRangeText(key, field.selectionStart, field.selectionEnd, "end");
  soon(PAUSE);
}

document.addEventListener("keydown", pressed);
at("question").addEventListener("change", () => run(() => change(at("question").value)));
for (const [id, act] of Object.entries({
  back: KEYS.k, next: KEYS.j, unread, name: flipName, clear, keep: keepComment,
  keys: KEYS["?"], close: () => at("help").close(),
  theirs: () => { fill(shown); say("Taken from the file."); },
  mine: () => { at("conflict").hidden = true; return save(); },
})) at(id).addEventListener("click", () => run(act));
for (const id of ["points", "comment"]) {
  at(id).addEventListener("input", () => soon(PAUSE));
  at(id).addEventListener("blur", () => soon(0));
}
window.addEventListener("beforeunload", (event) => {
  if (shown && !same(shown, typed())) event.preventDefault();
});
for (const id of ["asked", "model"]) {
  at(id).open = matchMedia("(min-width: 60rem)").matches;
}
setInterval(look, LOOK);
load();
