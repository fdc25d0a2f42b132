// Package export_meshtrace_plugin_trace_exporter is an exporter that logs one line per trace, written in plain Go against wit/: no
// SDK, only the generated packages, which also want it to have this name.
//
// What gives memory back, the one thing to know about Go guests: the host puts every list and string that an import returns into
// memory of ours, by a function during which a component may call nothing. Go's collector reads clocks and looks at timers, which are
// calls; most are held back while that function runs, and one that is not ends the instance. So the collector is switched off, and
// runs where calling is allowed: see collect.
package export_meshtrace_plugin_trace_exporter

import (
	"fmt"
	"runtime"
	"runtime/debug"

	wit_runtime "go.bytecodealliance.org/pkg/wit/runtime"
	wit_types "go.bytecodealliance.org/pkg/wit/types"

	attributes "wit_component/meshtrace_plugin_attributes"
	log "wit_component/meshtrace_plugin_host_log"
	spans "wit_component/meshtrace_plugin_spans"
	strings "wit_component/meshtrace_plugin_strings"
	traces "wit_component/meshtrace_plugin_traces"
	types "wit_component/meshtrace_plugin_types"
)

// Spans that have this attribute are counted: agents set it where one agent calls another.
const countedAttribute = "request_bytes"

// The collector runs when the heap holds more than this, in bytes. What one batch adds comes on top.
const collectAbove = 16 << 20

func init() {
	debug.SetGCPercent(-1)
}

// The columns that this exporter reads of one batch, and the strings that they point into.
type batch struct {
	idTexts, firstSpans, spanCounts, failedCounts, rootNames []uint32
	errors, counted                                          []uint32
	texts                                                    strings.Texts
}

func Describe() types.Description {
	return types.Description{Name: "go-summary", Version: "0.1.0", Parallel: true}
}

// Init has nothing to configure.
func Init(config string) wit_types.Result[wit_types.Unit, string] {
	return wit_types.Ok[wit_types.Unit, string](wit_types.Unit{})
}

func ExportBatch() types.Outcome {
	collect()
	batch := take()
	for trace := range batch.idTexts {
		log.Log(log.Level_Info, batch.summary(trace))
	}
	return types.MakeOutcomeDelivered()
}

// Flush has nothing to do: every line is written at once.
func Flush() wit_types.Result[wit_types.Unit, string] {
	return wit_types.Ok[wit_types.Unit, string](wit_types.Unit{})
}

// collect frees what earlier batches left. Nothing that an import returned may be in use any more: the generated code pins all of it,
// and lets it go before an export that has arguments. export-batch has none, so that is done here.
func collect() {
	wit_runtime.Unpin()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > collectAbove {
		runtime.GC()
	}
}

func take() batch {
	return batch{
		idTexts:      traces.IdTexts(),
		firstSpans:   traces.FirstSpans(),
		spanCounts:   traces.SpanCounts(),
		failedCounts: traces.FailedCounts(),
		rootNames:    traces.RootNames(),
		errors:       spans.Errors(),
		counted:      attributes.Column(countedAttribute),
		// All that trace and span columns point at. Attribute values are the third section, and are not needed to count them.
		texts: strings.Joined(0, strings.Sections().Spans),
	}
}

func (b *batch) summary(trace int) string {
	first, count := b.firstSpans[trace], b.spanCounts[trace]
	var failure uint32
	counted := 0
	for span := first; span < first+count; span++ {
		if failure == 0 {
			failure = b.errors[span]
		}
		if b.counted[span] != 0 {
			counted++
		}
	}
	return fmt.Sprintf("summary trace=%s root=%s spans=%d failed=%d attributes=%d error=%s",
		b.text(b.idTexts[trace]), b.text(b.rootNames[trace]), count, b.failedCounts[trace], counted, b.text(failure))
}

// text is the string with this index; index 0 means that there is no value.
func (b *batch) text(index uint32) []byte {
	if index == 0 {
		return []byte("-")
	}
	return b.texts.Utf8[b.texts.Ends[index-1]:b.texts.Ends[index]]
}
