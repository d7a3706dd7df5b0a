// Loads a GGUF file in llama.cpp (node-llama-cpp) and prints the likeliest tokens from the beginning of a text, one id a line.
// Usage: node check-llama-cpp.mjs MODEL.gguf COUNT
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [path, count] = [process.argv[2], Number(process.argv[3])];
const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: path });
const context = await model.createContext({ contextSize: Math.max(count + 1, 64), threads: 1 });
const ids = [];
for await (const token of context.getSequence().evaluate([model.tokens.bos], { temperature: 0, yieldEogToken: true })) {
    ids.push(token);
    if (ids.length === count || token === model.tokens.bos || token === model.tokens.eos)
        break;
}
console.log(ids.join("\n"));
process.exit(0);
