"""A model as a folder that transformers loads, and such a folder as our model.

Our weights carry the names and shapes of Llama checkpoints; what has variants leaves as the family
that computes the same (`families`). The work lies in the configuration, where the two sides must
mean the same by every number, and in refusing what our model cannot compute (some scaled positions,
biases, other architectures) instead of computing something else. Sharded checkpoints and pickled
weights are left out.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from minillm.align.chat import CHAT_TEMPLATE, TURN_BEGIN, TURN_END
from minillm.core.records import replace_folder
from minillm.export.families import family_of
from minillm.export.rope import exported_rope, imported_rope, refuse_other_positions
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer

WEIGHTS, CONFIG, GENERATION = "model.safetensors", "config.json", "generation_config.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
SAVED_FILES = {WEIGHTS, CONFIG, GENERATION, TOKENIZER, TOKENIZER_CONFIG}
ARCHITECTURE = "LlamaForCausalLM"
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
# angles that early Llama checkpoints stored although they follow from the configuration
RECOMPUTED = "rotary_emb.inv_freq"
# what reading a file that is no configuration, or has values of other types, can raise
MALFORMED = (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError, ZeroDivisionError)


# package only
def save_folder(model: Transformer, tokenizer: Tokenizer, folder: Path | str) -> Path:
    """Write the folder whole or not at all; ValueError if it would replace other files."""
    folder = Path(folder).absolute()
    if folder.exists() and not is_ours_to_replace(folder):
        raise ValueError(f"{folder}: exists and holds other files; choose a new or empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(
        tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent)
    )
    try:
        said = family_of(model.config).weight_name
        tensors = model.state_dict()
        if model.config.tie_embeddings:
            del tensors[HEAD]
        weights = {said(name): each.detach().cpu().contiguous() for name, each in tensors.items()}
        # `save_file` would leave a file that nobody else may read
        (partial / WEIGHTS).write_bytes(save(weights, metadata={"format": "pt"}))
        dtype = next(model.parameters()).dtype
        write_json(partial / CONFIG, exported_config(model.config, tokenizer, dtype))
        write_json(partial / GENERATION, marks(tokenizer) | stops(tokenizer))
        tokenizer.save(partial / TOKENIZER)
        write_json(partial / TOKENIZER_CONFIG, exported_tokenizer_config(model.config, tokenizer))
        partial.chmod(0o755)
        replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


# package only
def is_ours_to_replace(folder: Path) -> bool:
    """An empty folder, or one that holds nothing but an earlier export."""
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= SAVED_FILES


# package only
def write_json(path: Path, content: dict) -> None:
    """Indented and in UTF-8, as transformers writes its own."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# package only
def exported_config(config: ModelConfig, tokenizer: Tokenizer, dtype: torch.dtype) -> dict:
    """Our shape in the words of its family; ValueError for what none has words for."""
    refuse_other_positions(config, "transformers")
    family = family_of(config)
    return {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.ffn_width,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_length,
        **exported_rope(config),
        "rms_norm_eps": config.norm_epsilon,
        "initializer_range": config.initial_std,
        "tie_word_embeddings": config.tie_embeddings,
        "attention_bias": False,
        "mlp_bias": False,
        **family.fields,
        "dtype": str(dtype).removeprefix("torch."),
        **marks(tokenizer),
    }


# package only
def marks(tokenizer: Tokenizer) -> dict[str, int | None]:
    """One token both begins a document and ends the one before: it is the bos and the eos."""
    return {
        "bos_token_id": tokenizer.end_of_text,
        "eos_token_id": tokenizer.end_of_text,
        "pad_token_id": tokenizer.special_ids.get("<|pad|>"),
    }


# package only
def can_chat(tokenizer: Tokenizer) -> bool:
    """Has it the marks that begin and end a turn?"""
    return {TURN_BEGIN, TURN_END} <= tokenizer.special_ids.keys()


# package only
def stops(tokenizer: Tokenizer) -> dict[str, list[int]]:
    """Where writing ends: with the document, or with the turn of whoever speaks."""
    if not can_chat(tokenizer):
        return {}
    return {"eos_token_id": [tokenizer.end_of_text, tokenizer.special_ids[TURN_END]]}


# package only
def exported_tokenizer_config(config: ModelConfig, tokenizer: Tokenizer) -> dict:
    """Which class loads the tokenizer, and which tokens begin, end and pad a text."""
    token_by_id = {index: token for token, index in tokenizer.special_ids.items()}
    end, pad = token_by_id[tokenizer.end_of_text], marks(tokenizer)["pad_token_id"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "pad_token": token_by_id.get(pad),
        "model_max_length": config.context_length,
        "clean_up_tokenization_spaces": False,
        **({"chat_template": CHAT_TEMPLATE} if can_chat(tokenizer) else {}),
    }


# package only
def load_folder(folder: Path | str) -> tuple[Transformer, Tokenizer]:
    """Model (float32) and tokenizer of any Llama-shaped folder with one safetensors file.

    FileNotFoundError for a missing file; ValueError for what our model would compute otherwise.
    """
    folder = Path(folder)
    config = imported_config(folder)
    tokenizer = Tokenizer.load(required_file(folder, TOKENIZER))
    if tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"{folder / TOKENIZER}: {tokenizer.vocab_size} tokens, but the model has vocab_size = "
            f"{config.vocab_size}; put the tokenizer there that the model was trained with"
        )
    model = Transformer(config)
    model.load_state_dict(imported_weights(folder, model))
    return model, tokenizer


# package only
def required_file(folder: Path, name: str) -> Path:
    """A file of the folder; FileNotFoundError saying what there is instead."""
    path = folder / name
    if not path.is_file():
        found = ", ".join(sorted(each.name for each in folder.glob("*"))) or "nothing"
        raise FileNotFoundError(
            f"{path}: missing (the folder holds: {found}); give a folder written by "
            "`minillm export --to hf` or by transformers' save_pretrained"
        )
    return path


# package only
def imported_config(folder: Path) -> ModelConfig:
    """Llama's words in ours; a field with a default in transformers may be absent."""
    path = required_file(folder, CONFIG)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        refuse_other_models(fields, path)
        return ModelConfig(
            vocab_size=fields["vocab_size"],
            width=fields["hidden_size"],
            num_layers=fields["num_hidden_layers"],
            num_heads=fields["num_attention_heads"],
            num_kv_heads=fields.get("num_key_value_heads") or fields["num_attention_heads"],
            ffn_width=fields["intermediate_size"],
            context_length=fields.get("max_position_embeddings", 2048),
            **imported_rope(fields, path),
            norm_epsilon=fields.get("rms_norm_eps", 1e-6),
            initial_std=fields.get("initializer_range", 0.02),
            tie_embeddings=fields.get("tie_word_embeddings", False),
        )
    except MALFORMED as error:
        raise ValueError(f"{path}: not a model configuration ({error})") from None
    except KeyError as error:
        raise ValueError(f"{path}: the field {error} of a Llama model is missing") from None


# package only
def refuse_other_models(fields: dict, path: Path) -> None:
    """ValueError for an architecture, or an option of it, whose numbers would differ from ours."""
    architectures = fields.get("architectures") or [ARCHITECTURE]
    if fields.get("model_type", "llama") != "llama" or architectures != [ARCHITECTURE]:
        raise ValueError(
            f"{path}: architectures = {architectures}, model_type = {fields.get('model_type')!r}; "
            f"only {ARCHITECTURE} can be loaded"
        )
    rope = fields.get("rope_scaling") or fields.get("rope_parameters") or {}
    head_dim = fields["hidden_size"] // fields["num_attention_heads"]
    allowed = {
        "quantization_config": (fields.get("quantization_config"), None),
        "partial_rotary_factor": (rope.get("partial_rotary_factor", 1.0), 1.0),
        "attention_bias": (fields.get("attention_bias", False), False),
        "mlp_bias": (fields.get("mlp_bias", False), False),
        "hidden_act": (fields.get("hidden_act", "silu"), "silu"),
        "head_dim": (fields.get("head_dim") or head_dim, head_dim),
    }
    for name, (value, supported) in allowed.items():
        if value != supported:
            raise ValueError(f"{path}: {name} = {value!r}; only {supported!r} can be loaded")


# package only
def imported_weights(folder: Path, model: Transformer) -> dict[str, torch.Tensor]:
    """The folder's tensors as float32; ValueError unless they are exactly the model's."""
    if not (folder / WEIGHTS).is_file() and (folder / f"{WEIGHTS}.index.json").is_file():
        raise ValueError(
            f"{folder}: the weights are sharded over several files; "
            "load and save them with transformers' save_pretrained(max_shard_size='100GB') first"
        )
    path = required_file(folder, WEIGHTS)
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); copy it again") from None
    found = {name: tensor for name, tensor in stored.items() if not name.endswith(RECOMPUTED)}
    if model.config.tie_embeddings and EMBEDDING in found:
        head = found.setdefault(HEAD, found[EMBEDDING])
        if not torch.equal(head, found[EMBEDDING]):
            raise ValueError(
                f"{path}: {HEAD} differs from {EMBEDDING} although the configuration ties them; "
                "set tie_word_embeddings to false in config.json"
            )
    refuse_other_tensors(found, model.state_dict(), path)
    return {name: tensor.float() for name, tensor in found.items()}


# package only
def refuse_other_tensors(
    found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], path: Path
) -> None:
    """ValueError naming tensors that are missing, unknown or of another shape."""
    for problem, names in (
        ("lacks", expected.keys() - found.keys()),
        ("also has", found.keys() - expected.keys()),
    ):
        if names:
            raise ValueError(f"{path}: {problem} {some(names)}, unlike what config.json describes")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise ValueError(
                f"{path}: {name} has shape {tuple(found[name].shape)}, "
                f"but config.json describes {tuple(tensor.shape)}"
            )


# package only
def some(names: set[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    listed = ", ".join(sorted(names)[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
