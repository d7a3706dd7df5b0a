// Measures llama.cpp on random weights of a shape, through the npm package node-llama-cpp and its prebuilt CPU binary.
// Usage: node bench-llama-cpp.mjs FOLDER SHAPE TYPE THREADS ROUNDS [POSITION]
//   FOLDER holds node_modules/node-llama-cpp, and keeps the model files. SHAPE: dim,hidden,layers,heads,kv heads,vocabulary,context.
//   TYPE: F32, Q8_0 or Q4_0.
// Prints "decode TOKENS_PER_SECOND" and "prompt TOKENS_PER_SECOND", medians of rounds. How fast a model runs does not depend on what
// its weights are, so they are random bytes under a small scale.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, shapeText, type, threads, rounds, position = "0"] = process.argv.slice(2);
const [dim, hidden, layers, heads, kvHeads, vocab, context] = shapeText.split(",").map(Number);
const kvDim = dim / heads * kvHeads;

// ggml's types: number, values in a block, bytes of a block, bytes of the scale before the quants.
const types = {F32: [0, 1, 4, 0], Q4_0: [2, 32, 18, 2], Q8_0: [8, 32, 34, 2]};

function writeModel(file) {
    const tensors = [["token_embd.weight", dim, vocab], ["output_norm.weight", dim]];
    for (let l = 0; l < layers; l++)
        tensors.push([`blk.${l}.attn_norm.weight`, dim], [`blk.${l}.attn_q.weight`, dim, dim], [`blk.${l}.attn_k.weight`, dim, kvDim],
            [`blk.${l}.attn_v.weight`, dim, kvDim], [`blk.${l}.attn_output.weight`, dim, dim], [`blk.${l}.ffn_norm.weight`, dim],
            [`blk.${l}.ffn_gate.weight`, dim, hidden], [`blk.${l}.ffn_down.weight`, hidden, dim], [`blk.${l}.ffn_up.weight`, dim, hidden]);

    const parts = [];
    const u32 = n => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
    const u64 = n => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; };
    const f32 = n => { const b = Buffer.alloc(4); b.writeFloatLE(n); return b; };
    const text = s => { const b = Buffer.from(s); return Buffer.concat([u64(b.length), b]); };
    const kinds = {u32: [4, u32], f32: [6, f32], i32: [5, u32], string: [8, text]};
    const value = (key, kind, v) => parts.push(text(key), u32(kinds[kind][0]), kinds[kind][1](v));
    const array = (key, kind, vs) => parts.push(text(key), u32(9), u32(kinds[kind][0]), u64(vs.length), ...vs.map(kinds[kind][1]));
    const ids = [...Array(vocab).keys()];
    const isByte = id => id >= 3 && id < 259;
    value("general.architecture", "string", "llama");
    value("llama.context_length", "u32", context);
    value("llama.embedding_length", "u32", dim);
    value("llama.block_count", "u32", layers);
    value("llama.feed_forward_length", "u32", hidden);
    value("llama.attention.head_count", "u32", heads);
    value("llama.attention.head_count_kv", "u32", kvHeads);
    value("llama.attention.layer_norm_rms_epsilon", "f32", 1e-5);
    value("llama.rope.dimension_count", "u32", dim / heads);
    value("tokenizer.ggml.model", "string", "llama");
    array("tokenizer.ggml.tokens", "string", ids.map(id => id < 3 ? ["<unk>", "<s>", "</s>"][id]
        : isByte(id) ? `<0x${(id - 3).toString(16).toUpperCase().padStart(2, "0")}>` : `\u2581${id}`));
    array("tokenizer.ggml.scores", "f32", ids.map(id => -id));
    array("tokenizer.ggml.token_type", "i32", ids.map(id => id === 0 ? 2 : id < 3 ? 3 : isByte(id) ? 6 : 1));
    value("tokenizer.ggml.bos_token_id", "u32", 1);
    value("tokenizer.ggml.eos_token_id", "u32", 2);
    const valueCount = 15;

    let offset = 0;
    const align = n => Math.ceil(n / 32) * 32;
    for (const tensor of tensors) {
        const [name, ...sizes] = tensor;
        const [number, block, bytes] = types[sizes.length === 1 ? "F32" : type];
        tensor.bytes = sizes.reduce((a, b) => a * b) / block * bytes;
        parts.push(text(name), u32(sizes.length), ...sizes.map(u64), u32(number), u64(offset));
        offset += align(tensor.bytes);
    }
    const head = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(valueCount), ...parts]);
    const out = fs.openSync(file + ".tmp", "w");
    fs.writeSync(out, Buffer.concat([head, Buffer.alloc(align(head.length) - head.length)]));
    for (const tensor of tensors)
        fs.writeSync(out, weights(tensor.length === 2, align(tensor.bytes)));
    fs.closeSync(out);
    fs.renameSync(file + ".tmp", file);
}

let state = 0x9E3779B9;
function random() {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
}

function weights(isVector, bytes) {
    const buffer = Buffer.alloc(bytes);
    const floats = new Float32Array(buffer.buffer, buffer.byteOffset, bytes >> 2);
    if (isVector)
        return floats.fill(1), buffer;
    if (type === "F32") {
        for (let i = 0; i < floats.length; i++)
            floats[i] = random() * 2 ** -31 * 0.035;
        return buffer;
    }
    const words = new Int32Array(buffer.buffer, buffer.byteOffset, bytes >> 2);
    for (let i = 0; i < words.length; i++)
        words[i] = random();
    const scale = type === "Q8_0" ? 0x0C00 : 0x1C00; // float16: 2^-12 and 2^-8, for quants up to 127 and 8
    for (let i = 0; i + 2 <= bytes; i += types[type][2])
        buffer.writeUInt16LE(scale, i);
    return buffer;
}

const median = values => values.sort((a, b) => a - b)[values.length >> 1];

const file = path.join(folder, `llama-cpp-${shapeText.replaceAll(",", "-")}-${type}.gguf`);
if (!fs.existsSync(file))
    writeModel(file);
const entry = createRequire(path.join(path.resolve(folder), "x.js")).resolve("node-llama-cpp");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: file});
const made = await model.createContext({contextSize: context, batchSize: 512, threads: Number(threads), flashAttention: true});
const sequence = made.getSequence();
const tokens = count => [...Array(count).keys()].map(i => (i * 7919 + 300) % vocab);

const [decodes, prompts] = [[], []];
const [start, count, promptLength] = [Number(position) || 1, 64, Math.min(256, context - 1)];
for (let round = 0; round <= Number(rounds); round++) { // the first warms up
    await sequence.clearHistory();
    if (start > 1)
        await sequence.evaluateWithoutGeneratingNewTokens(tokens(start - 1));
    let made = 0, begin = 0;
    for await (const _ of sequence.evaluate(tokens(1), {temperature: 0, yieldEogToken: true})) {
        if (made++ === 0)
            begin = performance.now();
        if (made > count)
            break;
    }
    const decoded = (performance.now() - begin) / 1000;
    await sequence.clearHistory();
    begin = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(tokens(promptLength));
    if (round > 0) {
        decodes.push((made - 1) / decoded);
        prompts.push(promptLength / ((performance.now() - begin) / 1000));
    }
}
console.log(`decode ${median(decodes).toFixed(1)}\nprompt ${median(prompts).toFixed(1)}`);
process.exit(0);
