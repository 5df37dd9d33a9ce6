/**
 * A sound as pictures, from the samples that are here anyway: its outline, and how loud each frequency is at each moment. Only where a
 * page allows it: seeing biases what is heard.
 */

const SIZE = 1024; // samples of a column's window, a power of two
const LOWEST_HZ = 60;
const RANGE_DB = 70; // below the loudest
const MOST_COLUMNS = 500; // a switch between sounds must not wait for its picture
const MARKS_HZ = [100, 1000, 10000];
const TURNS = Array.from({ length: SIZE / 2 }, (_, k) => (-2 * Math.PI * k) / SIZE);
const [COS, SIN] = [Float32Array.from(TURNS, Math.cos), Float32Array.from(TURNS, Math.sin)];
const HANN = Float32Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));

/** The size of a canvas in its own pixels, and its context in CSS pixels. */
function prepare(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
  canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  context.fillStyle = getComputedStyle(canvas).color;
  return { context, width, height };
}

/** One frame of all channels together, in -1 to 1. */
function mid(pcm, channels, frame) {
  let sum = 0;
  for (let channel = 0; channel < channels; channel++) sum += pcm[frame * channels + channel] ?? 0;
  return sum / (32768 * channels);
}

/** The outline of a sound into a canvas, in the colour of its text. */
export function drawOutline(canvas, pcm, channels) {
  const { context, width, height } = prepare(canvas);
  const columns = Math.max(1, Math.floor(width));
  const frames = pcm.length / channels;
  const outline = Array.from({ length: columns }, (_, column) => {
    let [low, high] = [0, 0];
    const end = Math.ceil(((column + 1) * frames) / columns);
    for (let frame = Math.floor((column * frames) / columns); frame < end; frame++) {
      const sample = mid(pcm, channels, frame);
      low = Math.min(low, sample);
      high = Math.max(high, sample);
    }
    return [low, high];
  });
  const peak = Math.max(0.05, ...outline.map(([low, high]) => Math.max(-low, high)));
  outline.forEach(([low, high], x) => {
    const top = (height / 2) * (1 - high / peak);
    context.fillRect(x, top, 1, Math.max(1, (height / 2) * (1 - low / peak) - top));
  });
}

/** The same in time and frequency: the darker the louder, low notes below. */
export function drawSpectrogram(canvas, pcm, channels, sampleRate) {
  const { context, width, height } = prepare(canvas);
  const [columns, rows] = [Math.min(MOST_COLUMNS, Math.max(1, Math.floor(width))), Math.max(1, Math.floor(height))];
  const wide = width / columns;
  const frames = pcm.length / channels;
  const levels = new Float32Array(columns * rows);
  const bins = Array.from({ length: rows }, (_, row) => (LOWEST_HZ * (sampleRate / 2 / LOWEST_HZ) ** (1 - (row + 0.5) / rows) * SIZE) / sampleRate);
  let loudest = -Infinity;
  for (let column = 0; column < columns; column++) {
    const spectrum = powers(pcm, channels, Math.round(((column + 0.5) * frames) / columns) - SIZE / 2);
    for (let row = 0; row < rows; row++) {
      const [bin, part] = [Math.floor(bins[row]), bins[row] % 1];
      const power = spectrum[bin] * (1 - part) + (spectrum[bin + 1] ?? 0) * part;
      const level = 10 * Math.log10(power + 1e-12);
      levels[row * columns + column] = level;
      loudest = Math.max(loudest, level);
    }
  }
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const share = 1 + (levels[row * columns + column] - loudest) / RANGE_DB;
      if (share <= 0) continue;
      context.globalAlpha = share ** 1.5;
      const x = Math.round(column * wide); // whole pixels, or columns have seams
      context.fillRect(x, row, Math.round((column + 1) * wide) - x, 1);
    }
  }
  context.globalAlpha = 1;
  context.font = "11px system-ui, sans-serif";
  for (const hz of MARKS_HZ.filter((each) => each < sampleRate / 2)) {
    const y = height * (1 - Math.log(hz / LOWEST_HZ) / Math.log(sampleRate / 2 / LOWEST_HZ));
    context.fillRect(0, y, 6, 1);
    context.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, 9, y + 4);
  }
}

/** The power of each bin of a Hann window that begins at frame `start`. */
function powers(pcm, channels, start) {
  const real = Float32Array.from(HANN, (weight, i) => weight * (start + i < 0 ? 0 : mid(pcm, channels, start + i)));
  const imaginary = new Float32Array(SIZE);
  transform(real, imaginary);
  return Float32Array.from({ length: SIZE / 2 + 1 }, (_, bin) => real[bin] ** 2 + imaginary[bin] ** 2);
}

/** The discrete Fourier transform in place (Cooley and Tukey, radix 2). */
function transform(real, imaginary) {
  for (let i = 1, j = 0; i < SIZE; i++) {
    let bit = SIZE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    [real[i], real[j]] = [real[j], real[i]];
    [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
  }
  for (let half = 1; half < SIZE; half *= 2) {
    for (let k = 0; k < half; k++) {
      const cos = COS[(k * SIZE) / (2 * half)];
      const sin = SIN[(k * SIZE) / (2 * half)];
      for (let a = k; a < SIZE; a += 2 * half) {
        const b = a + half;
        const x = real[b] * cos - imaginary[b] * sin;
        const y = real[b] * sin + imaginary[b] * cos;
        real[b] = real[a] - x;
        imaginary[b] = imaginary[a] - y;
        real[a] += x;
        imaginary[a] += y;
      }
    }
  }
}
