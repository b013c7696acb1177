//! Blocks through the engine: two threads take turns, and the order stays.
//!
//! A thread reads a block, judges it and writes what stays of it, while the bytes are still near its core. What is read
//! from and what is written to go from hand to hand: blocks are read by one at a time and written in the order in which
//! they were read, and while one thread reads or writes the other judges or compresses. Who only counts waits for nobody
//! to write. A thread that fails takes what it holds with it, so that the other ends too. A file of a single block is
//! judged on the spot.

use std::io::{self, Read};
use std::thread;

use super::blocks::{Block, Blocks, Part};
use super::codec::{Codec, Writer};
use super::engine::{Engine, Judgement, Mode, Output, Tally, Verdict};
use super::turn::Turn;

/// Threads: more would wait for the one that reads or the one that writes.
const THREADS: usize = 2;

/// What is done with what is read.
pub(super) struct Task<'t> {
    pub(super) judgement: &'t Judgement,
    /// Those of other rules, for which it is only counted: what was read or decompressed once serves them all.
    pub(super) beside: &'t [Judgement],
    pub(super) codec: Codec,
    /// Where what stays is written; `None` counts only.
    pub(super) writer: Option<Writer<'t>>,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counted {
    pub(super) tally: Tally,
    /// For the other rules, in their order.
    pub(super) beside: Vec<Tally>,
}

impl Counted {
    fn add(&mut self, other: &Counted) {
        self.tally.add(&other.tally);
        self.beside.iter_mut().zip(&other.beside).for_each(|(tally, more)| tally.add(more));
    }
}

/// Judges what `source` holds, to its end.
pub(super) fn run(source: impl Read + Send, task: Task<'_>) -> io::Result<Counted> {
    let size = task.codec.block_size();
    run_in_blocks(source, task, size)
}

/// The same in blocks of `size` bytes.
pub(super) fn run_in_blocks(source: impl Read + Send, task: Task<'_>, size: usize) -> io::Result<Counted> {
    let Task { judgement, beside, codec, writer } = task;
    let mode = if writer.is_some() { Mode::Write } else { Mode::Count };
    let mut blocks = Blocks::new(source, size);
    let mut first = blocks.next(Block::default())?;
    let threads = if blocks.is_at_end() { 1 } else { THREADS };
    let mut workers = Vec::new();
    for (reading, writing) in Turn::ring(blocks, threads).into_iter().zip(Turn::ring(Sink { writer }, threads)) {
        let own = Judge::of(judgement, mode)?;
        let beside = beside.iter().map(|other| Judge::of(other, Mode::Count)).collect::<io::Result<Vec<_>>>()?;
        workers.push(Worker { own, beside, codec, first: first.take(), reading, writing });
    }
    let ends = thread::scope(|scope| {
        let own = workers.pop();
        let others: Vec<_> = workers.into_iter().map(|worker| scope.spawn(|| worker.run())).collect();
        let own = own.map(Worker::run);
        let broken = |_| Err(io::ErrorKind::BrokenPipe.into());
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(broken));
        own.into_iter().chain(others).collect::<io::Result<Vec<End>>>()
    })?;
    if !ends.iter().any(|end| end.is_whole) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let mut counted = Counted { tally: Tally::default(), beside: vec![Tally::default(); beside.len()] };
    ends.iter().for_each(|end| counted.add(&end.counted));
    Ok(counted)
}

/// A block, and what became of it.
#[derive(Debug, Default)]
struct Work {
    block: Block,
    out: Vec<u8>,
    /// What goes into the file, where it is compressed here.
    member: Option<Vec<u8>>,
    /// Whether what is written is `out`, or the block.
    edited: bool,
}

impl Work {
    fn compress(&mut self, codec: Codec) -> io::Result<()> {
        let used = self.member.take().unwrap_or_default();
        self.member = codec.member(self.result(), used)?;
        Ok(())
    }

    fn result(&self) -> &[u8] {
        if self.edited { &self.out } else { self.block.bytes() }
    }
}

/// Where what stays goes.
struct Sink<'t> {
    writer: Option<Writer<'t>>,
}

impl Sink<'_> {
    fn take(&mut self, work: &Work) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write(work.member.as_deref().unwrap_or(work.result())),
            None => Ok(()),
        }
    }

    fn finish(self) -> io::Result<()> {
        self.writer.map_or(Ok(()), Writer::finish)
    }
}

/// How a thread ended.
struct End {
    counted: Counted,
    /// Whether it wrote the end of the file, and with it everything before.
    is_whole: bool,
}

/// What judges by one rule, on one thread.
struct Judge<'w> {
    engine: Engine<'w>,
    mode: Mode,
    tally: Tally,
}

impl Judge<'_> {
    fn of(judgement: &Judgement, mode: Mode) -> io::Result<Judge<'_>> {
        let engine = judgement.engine().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Judge { engine, mode, tally: Tally::default() })
    }

    fn lines(&mut self, block: &Block, out: &mut Vec<u8>) -> Output {
        self.engine.lines(block.bytes(), self.mode, out, &mut self.tally)
    }
}

/// One thread.
struct Worker<'w, R> {
    own: Judge<'w>,
    beside: Vec<Judge<'w>>,
    codec: Codec,
    /// A block that was read already.
    first: Option<Block>,
    reading: Turn<Blocks<R>>,
    writing: Turn<Sink<'w>>,
}

impl<'w, R: Read> Worker<'w, R> {
    fn run(mut self) -> io::Result<End> {
        let mut work = Work::default();
        let mut is_whole = false;
        while let Some(mut blocks) = self.reading.take() {
            let block = match self.first.take() {
                Some(block) => Some(block),
                None => blocks.next(std::mem::take(&mut work.block))?,
            };
            let Some(block) = block else {
                drop(blocks);
                // It comes once what was read before is written.
                if let Some(sink) = self.sink() {
                    sink.finish()?;
                    is_whole = true;
                }
                break;
            };
            work.block = block;
            let written = match work.block.part {
                Part::Lines => {
                    self.reading.pass_on(blocks);
                    self.judge(&mut work)?;
                    self.write(&work)?
                }
                Part::LineHead | Part::LineBody | Part::LineTail => self.long_line(blocks, &mut work)?,
            };
            if written.is_none() {
                break;
            }
        }
        let beside = self.beside.iter().map(|judge| judge.tally).collect();
        Ok(End { counted: Counted { tally: self.own.tally, beside }, is_whole })
    }

    /// Judges a block of whole lines.
    fn judge(&mut self, work: &mut Work) -> io::Result<()> {
        work.out.clear();
        work.edited = self.own.lines(&work.block, &mut work.out) == Output::Changed;
        for judge in &mut self.beside {
            judge.lines(&work.block, &mut Vec::new());
        }
        self.compress(work)
    }

    fn compress(&self, work: &mut Work) -> io::Result<()> {
        if self.own.mode == Mode::Write { work.compress(self.codec) } else { Ok(()) }
    }

    /// Writes what became of a block, once those before it are written. `None` where another thread has failed.
    fn write(&self, work: &Work) -> io::Result<Option<()>> {
        let Some(mut sink) = self.sink() else { return Ok(None) };
        sink.take(work)?;
        self.pass_on(sink);
        Ok(Some(()))
    }

    /// Where what stays goes, once it is this thread's turn. `None` where another thread has failed.
    fn sink(&self) -> Option<Sink<'w>> {
        match self.own.mode {
            Mode::Count => Some(Sink { writer: None }),
            Mode::Write => self.writing.take(),
        }
    }

    fn pass_on(&self, sink: Sink<'w>) {
        match self.own.mode {
            Mode::Count => {}
            Mode::Write => self.writing.pass_on(sink),
        }
    }

    /// A line that is longer than a block, piece by piece: what becomes of one says what becomes of the next.
    fn long_line(&mut self, mut blocks: Blocks<R>, work: &mut Work) -> io::Result<Option<()>> {
        let Some(mut sink) = self.sink() else { return Ok(None) };
        let mut line = LongLine::default();
        let mut beside: Vec<LongLine> = self.beside.iter().map(|_| LongLine::default()).collect();
        loop {
            work.out.clear();
            work.edited = line.judge(&mut self.own, &work.block, &mut work.out) == Output::Changed;
            for (line, judge) in beside.iter_mut().zip(&mut self.beside) {
                line.judge(judge, &work.block, &mut Vec::new());
            }
            self.compress(work)?;
            sink.take(work)?;
            if work.block.part == Part::LineTail {
                break;
            }
            match blocks.next(std::mem::take(&mut work.block))? {
                Some(block) => work.block = block,
                None => break,
            }
        }
        self.reading.pass_on(blocks);
        self.pass_on(sink);
        Ok(Some(()))
    }
}

/// What is known of a line that is longer than a block.
#[derive(Debug, Default)]
struct LongLine {
    verdict: Option<Verdict>,
    /// Whether it counts among those that change.
    counted: bool,
}

impl LongLine {
    /// Judges its next piece.
    fn judge(&mut self, judge: &mut Judge<'_>, block: &Block, out: &mut Vec<u8>) -> Output {
        let Judge { engine, mode, tally } = judge;
        let output = match self.verdict {
            None => {
                let before = tally.matches;
                let (output, verdict) = engine.long_line(block.bytes(), *mode, out, tally);
                self.verdict = Some(verdict);
                self.counted = tally.matches > before;
                output
            }
            Some(verdict) => engine.long_rest(block.bytes(), verdict, *mode, out),
        };
        if output == Output::Changed && !self.counted {
            tally.matches += 1;
            self.counted = true;
        }
        output
    }
}
