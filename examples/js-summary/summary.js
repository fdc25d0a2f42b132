// An exporter that logs one line per trace, written in plain JavaScript against wit/: no SDK, only the imports of componentize-js.
//
// Lists of numbers come as typed arrays, which costs next to nothing; lists of strings come one by one. So the strings are pulled in
// one piece, and those that are shown are decoded.
import { column } from 'meshtrace:plugin/attributes@0.1.0';
import { log } from 'meshtrace:plugin/host-log@0.1.0';
import * as spans from 'meshtrace:plugin/spans@0.1.0';
import { joined, sections } from 'meshtrace:plugin/strings@0.1.0';
import * as traces from 'meshtrace:plugin/traces@0.1.0';

// Spans that have this attribute are counted: agents set it where one agent calls another.
const COUNTED_ATTRIBUTE = 'request_bytes';

export const traceExporter = {
  describe() {
    return { name: 'js-summary', version: '0.1.0', configSchema: '', parallel: true };
  },

  // There is nothing to configure; an error text that is thrown from here (`throw 'why'`) would refuse a config.
  init(config) {},

  exportBatch() {
    for (const line of summaries()) {
      log('info', line);
    }
    return { tag: 'delivered' };
  },

  // Every line is written at once: nothing is held back.
  flush() {},
};

function* summaries() {
  const [idTexts, rootNames, firstSpans] = [traces.idTexts(), traces.rootNames(), traces.firstSpans()];
  const [spanCounts, failedCounts] = [traces.spanCounts(), traces.failedCounts()];
  const [errors, counted] = [spans.errors(), column(COUNTED_ATTRIBUTE)];
  const text = texts();

  for (const [trace, first] of firstSpans.entries()) {
    const end = first + spanCounts[trace];
    const error = errors.subarray(first, end).find((index) => index !== 0) ?? 0;
    const attributes = counted.subarray(first, end).filter((index) => index !== 0).length;
    yield `summary trace=${text(idTexts[trace])} root=${text(rootNames[trace])} spans=${spanCounts[trace]} ` +
      `failed=${failedCounts[trace]} attributes=${attributes} error=${text(error)}`;
  }
}

// Answers the string with an index. All that trace and span columns point at can be asked for. Attribute values are the third section,
// and are not needed to count them.
function texts() {
  const { utf8, ends } = joined(0, sections().spans);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  // Index 0 means that there is no value.
  return (index) => (index === 0 ? '-' : decoder.decode(utf8.subarray(ends[index - 1], ends[index])));
}
