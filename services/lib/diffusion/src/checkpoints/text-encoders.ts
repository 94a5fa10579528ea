import type { TextEncoder } from '../families/family.ts'
import type { FamilyName } from '../families/registry.ts'
import type { ConfigReader } from './config-reader.ts'

/** Tokens of a T5 prompt where the request names no other number: diffusers' `max_sequence_length`. */
const T5_TOKENS = { 'stable-diffusion-3': 256, flux: 512 } as const

/** transformers' default of CLIP's `max_position_embeddings`. */
const CLIP_POSITIONS = 77

/** The text encoders of a checkpoint in its family's order, with the outputs that are wanted of each. */
export function textEncodersOf(reader: ConfigReader, family: FamilyName): readonly (TextEncoder | null)[] {
  switch (family) {
    case 'unconditional':
      return []
    case 'stable-diffusion':
    case 'latent-consistency':
      return [
        {
          ...clip(reader, '', () => ['last_hidden_state']),
          masksPadding: reader.flag('text_encoder/config.json', 'use_attention_mask', false),
        },
      ]
    case 'stable-diffusion-xl':
      return [
        reader.has('text_encoder/config.json') ? clip(reader, '', (layer) => [layer]) : null,
        clip(reader, '_2', (layer) => [layer, 'text_embeds']),
      ]
    case 'stable-diffusion-3':
      return [
        clip(reader, '', (layer) => [layer, 'text_embeds']),
        clip(reader, '_2', (layer) => [layer, 'text_embeds']),
        reader.has('text_encoder_3/config.json') ? t5('_3', T5_TOKENS[family]) : null,
      ]
    case 'flux':
      return [clip(reader, '', () => ['pooler_output']), t5('_2', T5_TOKENS.flux)]
    default:
      return family satisfies never
  }
}

/** @param outputs told the name of the last hidden states but one */
function clip(reader: ConfigReader, suffix: string, outputs: (penultimate: string) => readonly string[]): TextEncoder {
  const encoder = `text_encoder${suffix}`
  const file = `${encoder}/config.json`
  const tokenizer = `tokenizer${suffix}`
  const positions = reader.integer(file, 'max_position_embeddings', CLIP_POSITIONS)
  const limits = `${tokenizer}/tokenizer_config.json`
  // Tokenizers without a limit of their own save a number like 1e30, or no config at all.
  const limit = reader.has(limits) ? reader.integer(limits, 'model_max_length', positions) : positions
  const maxLength = Math.min(positions, limit)
  const layers = reader.integer(file, 'num_hidden_layers', 12)
  return {
    tokenizer,
    encoder,
    maxLength,
    followsRequest: false,
    outputs: outputs(`hidden_states.${layers - 1}`),
    masksPadding: false,
  }
}

function t5(suffix: string, maxLength: number): TextEncoder {
  return {
    tokenizer: `tokenizer${suffix}`,
    encoder: `text_encoder${suffix}`,
    maxLength,
    followsRequest: true,
    outputs: ['last_hidden_state'],
    masksPadding: false,
  }
}
