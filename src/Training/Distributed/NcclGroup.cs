namespace LlamaFullstack.Training.Distributed;
