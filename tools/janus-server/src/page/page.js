"use strict";

const $ = (id) => document.getElementById(id);
const GALLERY = "janus-gallery";
const GALLERY_AT_MOST = 60;
const PREVIEWS = 8;

let model = null;

// What goes wrong, in words.
const WORDS = {
  401: "The server wants an API key: open “API key” above and type it.",
  413: "That is more than the server takes at once; send fewer or smaller pictures.",
  429: "The server has as much to do as it can; try again in a moment.",
  503: "The server is stopping; try again when it is back.",
};

async function call(path, body, signal) {
  const headers = { "content-type": "application/json" };
  if ($("key").value) headers.authorization = "Bearer " + $("key").value;
  let response;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached. Is it still running?");
  }
  if (response.ok) return response;
  let said = "";
  try {
    said = (await response.json()).error.message;
  } catch { /* no more is known than the status */ }
  throw new Error(WORDS[response.status] || said || "The server answered with status " + response.status + ".");
}

// The events of a stream, as they come.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The server stopped in the middle of the answer.");
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const line = text.slice(0, end).split("\n").find((l) => l.startsWith("data: "));
      if (!line) continue;
      if (line === "data: [DONE]") return;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
  }
}

async function findModel() {
  try {
    const list = await (await call("/v1/models")).json();
    model = list.data[0];
    const about = model.janus;
    $("model").textContent = model.id + " (" + about.family + ", " + about.precision + ")";
    $("demo").hidden = model.id !== "janus-demo";
    $("n").max = about.max_n;
    $("guidance").value = about.guidance;
    // A model draws by tokens, which have a temperature, or by rectified flow, which has steps.
    $("temperature-field").hidden = about.steps !== null;
    $("steps-field").hidden = about.steps === null;
    if (about.steps !== null) $("draw-temperature").value = "";
    $("steps").value = about.steps === null ? "" : about.steps;
    $("tokens").max = about.context_length;
  } catch (error) {
    $("model").textContent = error.message;
  }
}

// A number of the form; nothing where the field is empty.
const number = (id) => ($(id).value === "" ? undefined : Number($(id).value));

// A piece of work that can be stopped: one button begins it, the other one ends it.
function work(form, stop, error, task) {
  let controller = null;
  const begin = form.querySelector("button[type=submit]");
  stop.addEventListener("click", () => controller && controller.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (controller) return;
    controller = new AbortController();
    begin.disabled = true;
    stop.disabled = false;
    error.textContent = "";
    try {
      await task(controller.signal);
    } catch (problem) {
      if (problem.name !== "AbortError") error.textContent = problem.message;
    }
    controller = null;
    begin.disabled = false;
    stop.disabled = true;
  });
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Drawing

async function draw(signal) {
  const n = number("n") || 1;
  const body = {
    prompt: $("prompt").value, n, seed: number("seed"), guidance: number("guidance"),
    temperature: number("draw-temperature"), steps: number("steps"), stream: true, partial_images: PREVIEWS,
  };
  const begun = performance.now();
  const bar = $("draw-progress");
  bar.value = 0;
  bar.hidden = false;
  $("draw-status").textContent = "Drawing …";
  $("easel").replaceChildren();
  let told = 0;
  try {
    const response = await call("/v1/images/generations", body, signal);
    for await (const event of events(response)) {
      const place = show(event.index, event, body.prompt);
      told += 1;
      bar.value = told / (n * (PREVIEWS + 1));
      if (event.type === "image_generation.completed") {
        keep({
          prompt: body.prompt, seed: event.seed, index: event.index, n, guidance: body.guidance,
          temperature: body.temperature, steps: body.steps, image: place.src,
        });
      }
    }
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    $("draw-status").textContent = "Done in " + seconds + " s.";
    $("easel").replaceChildren();
  } catch (error) {
    $("draw-status").textContent = error.name === "AbortError" ? "Stopped." : "";
    throw error;
  } finally {
    bar.hidden = true;
  }
}

// The picture on the easel at a place, as it is by now.
function show(index, event, prompt) {
  while ($("easel").children.length <= index) {
    $("easel").append(element("figure", {}, element("img", { alt: prompt + " (being drawn)" })));
  }
  const image = $("easel").children[index].querySelector("img");
  image.src = "data:image/" + event.output_format + ";base64," + event.b64_json;
  return image;
}

// The gallery: in this browser alone, the latest first.

function load() {
  try {
    return JSON.parse(localStorage.getItem(GALLERY)) || [];
  } catch {
    return [];
  }
}

function keep(entry) {
  const entries = [entry, ...load()].slice(0, GALLERY_AT_MOST);
  while (entries.length > 0) {
    try {
      localStorage.setItem(GALLERY, JSON.stringify(entries));
      break;
    } catch {
      // The browser has no more room: the oldest goes.
      entries.pop();
    }
  }
  hang(entries);
}

function hang(entries) {
  $("gallery").replaceChildren(...entries.map(frame));
  $("gallery-empty").hidden = entries.length > 0;
  $("gallery-clear").hidden = entries.length === 0;
}

function frame(entry) {
  const reuse = element("button", { type: "button", textContent: "Use settings" });
  reuse.addEventListener("click", () => {
    for (const [id, value] of [["prompt", entry.prompt], ["seed", entry.seed], ["n", entry.n],
      ["guidance", entry.guidance], ["draw-temperature", entry.temperature], ["steps", entry.steps]]) {
      // What was drawn by another kind of model may have settings that this one has not.
      if (value !== undefined && !$(id).parentElement.hidden) $(id).value = value;
    }
    $("prompt").focus();
  });
  const ask = element("button", { type: "button", textContent: "Ask about it" });
  ask.addEventListener("click", () => {
    attach(entry.image);
    $("question").focus();
  });
  const name = "janus-" + entry.seed + "-" + entry.index + ".png";
  const save = element("a", { href: entry.image, download: name, textContent: "Download" });
  const caption = element("figcaption", {}, entry.prompt + " · seed " + entry.seed + " ", save, " ", reuse, " ", ask);
  return element("li", {}, element("figure", {}, element("img", { src: entry.image, alt: entry.prompt }), caption));
}

// Asking

const conversation = [];
let pending = [];

function attach(url) {
  pending.push(url);
  $("pending").replaceChildren(...pending.map((picture, i) => {
    const remove = element("button", { type: "button", textContent: "Remove" });
    remove.addEventListener("click", () => {
      pending.splice(i, 1);
      const rest = pending;
      pending = [];
      $("pending").replaceChildren();
      rest.forEach(attach);
    });
    const image = element("img", { src: picture, alt: "picture " + (i + 1) + " for the next message" });
    return element("figure", {}, image, element("figcaption", {}, remove));
  }));
}

function attachFiles(files) {
  $("chat-error").textContent = "";
  for (const file of files) {
    if (!["image/png", "image/jpeg", "image/webp"].includes(file.type)) {
      $("chat-error").textContent = "“" + file.name + "” is no PNG, JPEG or WebP.";
      continue;
    }
    const reader = new FileReader();
    reader.addEventListener("load", () => attach(reader.result));
    reader.readAsDataURL(file);
  }
}

function say(role, text, pictures) {
  const name = element("span", { className: "unseen", textContent: role === "user" ? "You: " : "Janus: " });
  const words = element("span", { textContent: text });
  const images = pictures.map((url) => element("img", { src: url, alt: "picture that was shown" }));
  $("conversation").append(element("li", { className: role }, name, ...images, words));
  return words;
}

async function ask(signal) {
  const question = $("question").value.trim();
  if (!question && pending.length === 0) return;
  const pictures = pending;
  const parts = pictures.map((url) => ({ type: "image_url", image_url: { url } }));
  const message = { role: "user", content: [...parts, { type: "text", text: question }] };
  const temperature = number("chat-temperature") || 0;
  const body = {
    messages: [...conversation, message], stream: true, max_tokens: number("tokens"),
    temperature, seed: number("chat-seed"),
  };
  const response = await call("/v1/chat/completions", body, signal);
  say("user", question, pictures);
  pending = [];
  $("pending").replaceChildren();
  $("question").value = "";
  const words = say("assistant", "", []);
  try {
    for await (const event of events(response)) {
      for (const choice of event.choices) words.textContent += choice.delta.content || "";
    }
  } finally {
    // What was said counts, also if it was stopped.
    conversation.push(message, { role: "assistant", content: words.textContent });
  }
}

function enterSends(area, form) {
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

work($("draw"), $("draw-stop"), $("draw-error"), draw);
work($("chat"), $("chat-stop"), $("chat-error"), ask);
enterSends($("prompt"), $("draw"));
enterSends($("question"), $("chat"));

$("gallery-clear").addEventListener("click", () => {
  localStorage.removeItem(GALLERY);
  hang([]);
});
$("chat-new").addEventListener("click", () => {
  $("chat-stop").click();
  conversation.length = 0;
  $("conversation").replaceChildren();
  $("chat-error").textContent = "";
});
$("files").addEventListener("change", () => {
  attachFiles($("files").files);
  $("files").value = "";
});
const section = $("chat").closest("section");
for (const kind of ["dragover", "dragleave", "drop"]) {
  section.addEventListener(kind, (event) => {
    event.preventDefault();
    section.classList.toggle("over", kind === "dragover");
    if (kind === "drop") attachFiles(event.dataTransfer.files);
  });
}
$("question").addEventListener("paste", (event) => {
  if (event.clipboardData.files.length > 0) {
    event.preventDefault();
    attachFiles(event.clipboardData.files);
  }
});
$("key").value = sessionStorage.getItem("janus-key") || "";
$("key").addEventListener("change", () => {
  sessionStorage.setItem("janus-key", $("key").value);
  findModel();
});

hang(load());
findModel();
