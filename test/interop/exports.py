"""Exports models as people do, for exports.mjs. Usage: exports.py FOLDER

Needs onnx, torch, onnxscript, transformers, scikit-learn, skl2onnx, onnxmltools, lightgbm and xgboost. Transformers are made from small
configurations with random weights, so that nothing is downloaded. Prints one line per model; one that its exporter refuses is named and left out.
"""

import sys
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
OUT = Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)


def export(name, make):
    try:
        make(str(OUT / f"{name}.onnx"))
        print(f"  ok {name}", flush=True)
    except Exception as error:  # exporters raise all kinds
        print(f"  left out {name}: {str(error).splitlines()[0][:100] if str(error) else type(error).__name__}", flush=True)


# ---------------------------------------------------------------- scikit-learn and boosters


def classic():
    import lightgbm
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType as BoosterFloats
    from skl2onnx import to_onnx
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler
    from sklearn.utils import all_estimators

    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 1)
    target = x[:, 0] * 2 + x[:, 1]

    def of(estimator, wanted):
        def make(path):
            fitted = estimator.fit(np.abs(x) if "NB" in type(estimator).__name__ else x, wanted)
            Path(path).write_bytes(to_onnx(fitted, x[:1], options=None).SerializeToString())

        return make

    for kind, wanted in (("classifier", y), ("regressor", target), ("cluster", None), ("transformer", y)):
        for name, Estimator in all_estimators(type_filter=kind):
            try:
                estimator = Estimator()
            except TypeError:
                continue
            export(f"sklearn-{kind}-{name}", of(estimator, wanted))

    words = np.array([["a few words"], ["some more words"], ["fewer"], ["words of words"]])
    for name, Vectorizer in (("tfidf", TfidfVectorizer), ("count", CountVectorizer)):
        export(
            f"sklearn-text-{name}",
            lambda path, V=Vectorizer: Path(path).write_bytes(
                to_onnx(V().fit(words.ravel()), words[:1]).SerializeToString()
            ),
        )
    from sklearn.linear_model import LogisticRegression

    mixed = make_pipeline(
        ColumnTransformer([("scaled", StandardScaler(), [0, 1]), ("binned", KBinsDiscretizer(4), [2, 3]), ("rest", PolynomialFeatures(2), [4, 5])]),
        LogisticRegression(),
    )
    export("sklearn-pipeline-mixed", of(mixed, y))
    texts = np.array([["a", "x"], ["b", "y"], ["a", "z"]])
    for name, Encoder in (("onehot", OneHotEncoder), ("ordinal", OrdinalEncoder)):
        export(
            f"sklearn-encoder-{name}",
            lambda path, E=Encoder: Path(path).write_bytes(to_onnx(E().fit(texts), texts[:1]).SerializeToString()),
        )

    floats = [("features", BoosterFloats([None, 6]))]
    for name, Booster, wanted in (("classifier", lightgbm.LGBMClassifier, y), ("regressor", lightgbm.LGBMRegressor, target), ("ranker-like", lightgbm.LGBMRegressor, y)):
        export(
            f"lightgbm-{name}",
            lambda path, B=Booster, w=wanted: Path(path).write_bytes(
                convert_lightgbm(B(n_estimators=20, verbose=-1).fit(x, w), initial_types=floats).SerializeToString()
            ),
        )
    for name, Booster, wanted in (("classifier", xgboost.XGBClassifier, y), ("binary", xgboost.XGBClassifier, y > 0), ("regressor", xgboost.XGBRegressor, target), ("forest", xgboost.XGBRFRegressor, target)):
        export(
            f"xgboost-{name}",
            lambda path, B=Booster, w=wanted: Path(path).write_bytes(
                convert_xgboost(B(n_estimators=20).fit(x, w), initial_types=floats).SerializeToString()
            ),
        )


# ---------------------------------------------------------------- PyTorch


def torch_models():
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)

        def forward(self, x):
            return self.inner(x)

    class Windows(nn.Module):
        """Cuts an image into windows, as vision models do: sizes divided by sizes."""

        def forward(self, x):
            b, c, h, w = x.shape
            return x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).flatten(1)

    class MeanOfMasked(nn.Module):
        def forward(self, x, mask):
            total = (x * mask.unsqueeze(-1)).sum(1)
            return total / mask.sum(1, keepdim=True).clamp(min=1)

    class Positions(nn.Module):
        """Relative positions, in buckets."""

        def forward(self, x):
            n = torch.arange(x.shape[1])
            buckets = (n[None] - n[:, None]) // 8 % 4
            return x.unsqueeze(-1) + buckets.to(x.dtype).sum()

    class Upsample(nn.Module):
        def forward(self, x):
            return nn.functional.interpolate(x, size=(x.shape[2] * 3 // 2, x.shape[3] * 3 // 2), mode="bilinear")

    class Recurrent(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.inner = kind(16, 24, batch_first=True, bidirectional=True)

        def forward(self, x):
            return self.inner(x)[0]

    class Top(nn.Module):
        """The place of the largest in a picture: an index divided by a width."""

        def forward(self, x):
            width = x.shape[-1]
            at = x.flatten(1).argmax(1)
            return torch.stack([at // width, at % width], 1)

    conv = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    image = torch.randn(2, 3, 32, 32)
    sizes = {0: "batch", 2: "height", 3: "width"}
    cases = [
        ("mlp", nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 3)), (torch.randn(2, 8),), {0: "batch"}),
        ("cnn", conv, (image,), {0: "batch"}),
        ("attention", Attention(), (torch.randn(2, 5, 32),), {0: "batch", 1: "length"}),
        ("lstm", Recurrent(nn.LSTM), (torch.randn(2, 5, 16),), {0: "batch", 1: "length"}),
        ("gru", Recurrent(nn.GRU), (torch.randn(2, 5, 16),), {0: "batch", 1: "length"}),
        ("windows", Windows(), (image,), sizes),
        ("upsample", Upsample(), (image,), sizes),
        ("top", Top(), (torch.randn(2, 6, 7),), {0: "batch", 1: "height", 2: "width"}),
        ("positions", Positions(), (torch.randn(2, 9),), {0: "batch", 1: "length"}),
        ("masked-mean", MeanOfMasked(), (torch.randn(2, 5, 4), torch.ones(2, 5)), {0: "batch", 1: "length"}),
        ("masked-mean-ints", MeanOfMasked(), (torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.int64)), {0: "batch", 1: "length"}),
        ("embedding", nn.Sequential(nn.EmbeddingBag(50, 8, mode="mean"), nn.Linear(8, 2)), (torch.randint(0, 50, (2, 6)),), {0: "batch"}),
        ("pixel-shuffle", nn.Sequential(nn.Conv2d(3, 12, 3, 1, 1), nn.PixelShuffle(2)), (image,), sizes),
        ("group-norm", nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.AdaptiveAvgPool2d(2)), (image,), {0: "batch"}),
    ]
    for name, module, args, axes in cases:
        save_torch(torch, f"torch-{name}", module.eval(), args, axes)


def save_torch(torch, name, module, args, axes, kwargs=None):
    """By both exporters, with dynamic shapes."""
    names = [f"in{i}" for i in range(len(args))] if kwargs is None else list(kwargs)

    def by_trace(path):
        torch.onnx.export(
            module, args, path, kwargs=kwargs, dynamo=False, opset_version=17, input_names=names,
            dynamic_axes={n: axes for n in names},
        )

    def by_graph(path):
        given = args if kwargs is None else tuple(kwargs.values())
        dims = {i: torch.export.Dim(symbol, min=2, max=4096) for i, symbol in axes.items()}
        own = [{i: d for i, d in dims.items() if i < value.ndim} for value in given]
        shapes = tuple(own) if kwargs is None else dict(zip(names, own))
        torch.onnx.export(module, args, path, kwargs=kwargs, dynamo=True, dynamic_shapes=shapes, opset_version=18, external_data=False, verbose=False)

    with torch.no_grad():
        export(name, by_trace)
        export(f"{name}-dynamo", by_graph)


def transformers_models():
    import torch
    import transformers as t

    torch.manual_seed(0)
    small = dict(vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    attention = dict(attn_implementation="eager")
    ids = torch.randint(3, 90, (2, 8))
    tokens = dict(input_ids=ids, attention_mask=torch.ones_like(ids))
    seq = {0: "batch", 1: "length"}
    image = dict(pixel_values=torch.randn(2, 3, 32, 32))

    class First(torch.nn.Module):
        """Exporters want tensors, not objects."""

        def __init__(self, inner, keys):
            super().__init__()
            self.inner, self.keys = inner, keys

        def forward(self, *given):
            return self.inner(**dict(zip(self.keys, given)), return_dict=False)[0]

    gpt = dict(vocab_size=100, n_embd=32, n_layer=2, n_head=4, use_cache=False)
    llama = dict(**small, num_key_value_heads=2, max_position_embeddings=64, use_cache=False)
    vision = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=32, patch_size=8)
    models = [
        ("bert", lambda: t.BertModel(t.BertConfig(**small, **attention)), tokens, seq),
        ("bert-classes", lambda: t.BertForSequenceClassification(t.BertConfig(**small, **attention)), tokens, seq),
        ("bert-tokens", lambda: t.BertForTokenClassification(t.BertConfig(**small, **attention)), tokens, seq),
        ("roberta", lambda: t.RobertaModel(t.RobertaConfig(**small, **attention)), tokens, seq),
        ("xlm-roberta", lambda: t.XLMRobertaForSequenceClassification(t.XLMRobertaConfig(**small, **attention)), tokens, seq),
        ("electra", lambda: t.ElectraModel(t.ElectraConfig(**small, embedding_size=32, **attention)), tokens, seq),
        ("albert", lambda: t.AlbertModel(t.AlbertConfig(**small, embedding_size=32, **attention)), tokens, seq),
        ("distilbert", lambda: t.DistilBertForSequenceClassification(t.DistilBertConfig(vocab_size=100, dim=32, n_layers=2, n_heads=4, hidden_dim=64, **attention)), tokens, seq),
        ("mpnet", lambda: t.MPNetModel(t.MPNetConfig(**small, **attention)), tokens, seq),
        ("deberta-v2", lambda: t.DebertaV2Model(t.DebertaV2Config(**small, relative_attention=True, position_buckets=16, pos_att_type=["p2c", "c2p"], **attention)), tokens, seq),
        ("mobilebert", lambda: t.MobileBertModel(t.MobileBertConfig(vocab_size=100, num_hidden_layers=2)), tokens, seq),
        ("squeezebert", lambda: t.SqueezeBertModel(t.SqueezeBertConfig(**small, embedding_size=32)), tokens, seq),
        ("modernbert", lambda: t.ModernBertModel(t.ModernBertConfig(**small, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2, **attention)), tokens, seq),
        ("funnel", lambda: t.FunnelModel(t.FunnelConfig(vocab_size=100, d_model=32, n_head=4, d_head=8, d_inner=64, block_sizes=[1, 1])), tokens, seq),
        ("fnet", lambda: t.FNetModel(t.FNetConfig(vocab_size=100, hidden_size=32, num_hidden_layers=2, intermediate_size=64)), dict(input_ids=ids), seq),
        ("gpt2", lambda: t.GPT2LMHeadModel(t.GPT2Config(**gpt, **attention)), tokens, seq),
        ("gpt-neox", lambda: t.GPTNeoXForCausalLM(t.GPTNeoXConfig(**small, use_cache=False, **attention)), tokens, seq),
        ("opt", lambda: t.OPTForCausalLM(t.OPTConfig(vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64, use_cache=False, **attention)), tokens, seq),
        ("bloom", lambda: t.BloomForCausalLM(t.BloomConfig(vocab_size=100, hidden_size=32, n_layer=2, n_head=4, use_cache=False)), tokens, seq),
        ("llama", lambda: t.LlamaForCausalLM(t.LlamaConfig(**llama, **attention)), tokens, seq),
        ("mistral", lambda: t.MistralForCausalLM(t.MistralConfig(**llama, **attention)), tokens, seq),
        ("qwen2", lambda: t.Qwen2ForCausalLM(t.Qwen2Config(**llama, **attention)), tokens, seq),
        ("t5-encoder", lambda: t.T5EncoderModel(t.T5Config(vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)), tokens, seq),
        ("vit", lambda: t.ViTForImageClassification(t.ViTConfig(**vision, **attention)), image, {0: "batch"}),
        ("deit", lambda: t.DeiTModel(t.DeiTConfig(**vision, **attention)), image, {0: "batch"}),
        ("dinov2", lambda: t.Dinov2Model(t.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8, **attention)), image, {0: "batch"}),
        ("swin", lambda: t.SwinModel(t.SwinConfig(image_size=32, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4)), image, {0: "batch"}),
        ("convnext", lambda: t.ConvNextModel(t.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)), image, {0: "batch"}),
        ("mobilenet-v2", lambda: t.MobileNetV2Model(t.MobileNetV2Config(depth_multiplier=0.35)), image, {0: "batch"}),
        ("resnet", lambda: t.ResNetForImageClassification(t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])), image, {0: "batch"}),
        ("segformer", lambda: t.SegformerForSemanticSegmentation(t.SegformerConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16)), image, {0: "batch", 2: "height", 3: "width"}),
        ("clip-vision", lambda: t.CLIPVisionModel(t.CLIPVisionConfig(**vision, **attention)), image, {0: "batch"}),
        ("clip-text", lambda: t.CLIPTextModel(t.CLIPTextConfig(**small, max_position_embeddings=16, eos_token_id=2, **attention)), tokens, seq),
        ("whisper-encoder", lambda: t.models.whisper.modeling_whisper.WhisperEncoder(t.WhisperConfig(d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64, max_source_positions=50, num_mel_bins=16, **attention)), dict(input_features=torch.randn(2, 16, 100)), {0: "batch"}),
        ("wav2vec2", lambda: t.Wav2Vec2Model(t.Wav2Vec2Config(**small, conv_dim=[16, 16], conv_kernel=[10, 3], conv_stride=[5, 2], num_feat_extract_layers=2, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, **attention)), dict(input_values=torch.randn(2, 400)), {0: "batch", 1: "samples"}),
    ]
    for name, make, given, axes in models:
        try:
            model = make().eval()
        except Exception as error:
            print(f"  left out hf-{name}: {str(error).splitlines()[0][:100] if str(error) else type(error).__name__}", flush=True)
            continue
        save_torch(torch, f"hf-{name}", First(model, list(given)), tuple(given.values()), axes)


classic()
torch_models()
transformers_models()
