"""Step 3: a pipeline folder from the parts that train_vae.py, make_tokenizer.py and train_sd.py left, for export.py."""

import argparse
import json
import shutil
from pathlib import Path

from evaluate import load_pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="holds vae/, tokenizer/ and sd/ as the other scripts left them")
    parser.add_argument("out", type=Path, help="pipeline folder to write, in place of what is there")
    args = parser.parse_args()

    shutil.rmtree(args.out, ignore_errors=True)
    load_pipeline(args.work / "sd", args.work / "vae", args.work / "tokenizer").save_pretrained(args.out)
    # As make_tokenizer.py wrote it: newer versions of transformers save tokenizer.json alone.
    shutil.copytree(args.work / "tokenizer", args.out / "tokenizer", dirs_exist_ok=True)
    logs = {part: args.work / part / "training.json" for part in ("vae", "sd")}
    training = {part: json.loads(path.read_text()) for part, path in logs.items() if path.exists()}
    (args.out / "training.json").write_text(json.dumps(training, indent=1))


if __name__ == "__main__":
    main()
