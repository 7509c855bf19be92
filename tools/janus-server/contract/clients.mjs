// The official OpenAI client for JavaScript against a server: `node clients.mjs http://127.0.0.1:8080`.

import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "none", maxRetries: 0 });
const ask = { model: "janus-demo", messages: [{ role: "user", content: "is there a red circle?" }], max_tokens: 16 };
const draw = { model: "janus-demo", prompt: "a red circle", seed: 7 };

// Drawing, whole and on its way.
const whole = await client.images.generate(draw);
const picture = whole.data[0].b64_json;
assert.equal(Buffer.from(picture, "base64").subarray(1, 4).toString(), "PNG");
const events = [];
for await (const event of await client.images.generate({ ...draw, stream: true, partial_images: 2 })) {
  events.push(event);
}
const partial = "image_generation.partial_image";
assert.deepEqual(events.map((event) => event.type), [partial, partial, "image_generation.completed"]);
assert.equal(events[2].b64_json, picture);

// Answering, whole and in pieces, about pictures or not.
const answer = await client.chat.completions.create(ask);
const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
let text = "";
let usage = null;
for await (const piece of stream) {
  text += piece.choices[0]?.delta.content ?? "";
  usage = piece.usage ?? usage;
}
assert.equal(text, answer.choices[0].message.content);
assert.deepEqual(usage, answer.usage);
const content = [
  { type: "image_url", image_url: { url: "data:image/png;base64," + picture } },
  { type: "text", text: "what is in the picture?" },
];
const seen = await client.chat.completions.create({ ...ask, messages: [{ role: "user", content }] });
assert.ok(seen.usage.prompt_tokens > answer.usage.prompt_tokens);

// What it sees in pictures.
const input = "data:image/png;base64," + picture;
const vector = (await client.embeddings.create({ model: "janus-demo", input })).data[0].embedding;
const plain = await client.embeddings.create({ model: "janus-demo", input, encoding_format: "float" });
assert.ok(vector.every((value, i) => Math.abs(value - plain.data[0].embedding[i]) < 1e-6));

// A stream that is left.
const left = await client.chat.completions.create({ ...ask, stream: true });
for await (const _ of left) break;

// Errors have the classes that the client knows.
await assert.rejects(client.images.generate({ ...draw, size: "1024x1024" }), (error) => {
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.param, "size");
  return true;
});
await assert.rejects(client.chat.completions.create({ ...ask, model: "gpt" }), OpenAI.NotFoundError);

console.log("the JavaScript client is content");
