// Loads a GGUF file in llama.cpp (node-llama-cpp) and prints the text of the likeliest tokens from the beginning.
// Usage: node check-llama-cpp.mjs MODEL.gguf TOKENS
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [path, count] = [process.argv[2], Number(process.argv[3])];
const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: path });
const context = await model.createContext({ contextSize: Math.max(count + 1, 64), threads: 1 }); // two threads and node's own get in each other's way
const ids = [];
for await (const token of context.getSequence().evaluate([model.tokens.bos], { temperature: 0, yieldEogToken: true })) {
    if (token === model.tokens.bos || token === model.tokens.eos)
        break;
    ids.push(token);
    if (ids.length === count)
        break;
}
console.log(model.detokenize(ids).replace(/^ /, ""));
process.exit(0);
