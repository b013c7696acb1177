//! Blocks through the engine: two threads take turns, and the order stays.
//!
//! A thread reads a block, judges it and writes what stays of it, while the bytes are still near its core. What is read
//! from and what is written to go from hand to hand: blocks are read by one at a time and written in the order in which
//! they were read, and while one thread reads or writes the other judges or compresses. A thread that fails takes what it
//! holds with it, so that the other ends too. A file of a single block is judged on the spot.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::blocks::{Block, Blocks, Part};
use super::codec::{Codec, Writer};
use super::engine::{Engine, Judgement, Mode, Output, Tally, Verdict};

/// Threads: more would wait for the one that reads or the one that writes.
const THREADS: usize = 2;

/// What is done with the results.
pub(super) struct Task<'t> {
    pub(super) judgement: &'t Judgement,
    pub(super) codec: Codec,
    /// Where what stays is written; `None` counts only.
    pub(super) writer: Option<Writer<'t>>,
}

/// Judges what `source` holds, to its end.
pub(super) fn run(source: impl Read + Send, task: Task<'_>) -> io::Result<Tally> {
    let size = task.codec.block_size();
    run_in_blocks(source, task, size)
}

/// The same in blocks of `size` bytes.
pub(super) fn run_in_blocks(source: impl Read + Send, task: Task<'_>, size: usize) -> io::Result<Tally> {
    let Task { judgement, codec, writer } = task;
    let mode = if writer.is_some() { Mode::Write } else { Mode::Count };
    let mut blocks = Blocks::new(source, size);
    let mut first = blocks.next(Block::default())?;
    let threads = if blocks.is_at_end() { 1 } else { THREADS };
    let mut workers = Vec::new();
    for (reading, writing) in Turn::ring(blocks, threads).into_iter().zip(Turn::ring(Sink { writer }, threads)) {
        let Some(engine) = judgement.engine() else { return Err(io::ErrorKind::InvalidInput.into()) };
        workers.push(Worker { engine, mode, codec, first: first.take(), reading, writing, tally: Tally::default() });
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
    let mut tally = Tally::default();
    ends.iter().for_each(|end| tally.add(&end.tally));
    Ok(tally)
}

/// What goes from hand to hand among threads: where it comes from, and where it goes next.
struct Turn<T> {
    from: Receiver<T>,
    to: SyncSender<T>,
}

impl<T> Turn<T> {
    /// Of each thread, in the order in which they have `thing`; the first has it first.
    fn ring(thing: T, threads: usize) -> Vec<Turn<T>> {
        let (mut to, from): (VecDeque<_>, Vec<_>) = (0..threads).map(|_| sync_channel(1)).unzip();
        if let Some(first) = to.front() {
            let _ = first.send(thing);
        }
        to.rotate_left(threads.min(1));
        from.into_iter().zip(to).map(|(from, to)| Turn { from, to }).collect()
    }

    /// Waits for it. `None` where another thread has failed or is at the end.
    fn take(&self) -> Option<T> {
        self.from.recv().ok()
    }

    /// Who is next and has ended needs it no more.
    fn pass_on(&self, thing: T) {
        let _ = self.to.send(thing);
    }
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
    tally: Tally,
    /// Whether it wrote the end of the file, and with it everything before.
    is_whole: bool,
}

/// One thread.
struct Worker<'w, R> {
    engine: Engine<'w>,
    mode: Mode,
    codec: Codec,
    /// A block that was read already.
    first: Option<Block>,
    reading: Turn<Blocks<R>>,
    writing: Turn<Sink<'w>>,
    tally: Tally,
}

impl<R: Read> Worker<'_, R> {
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
                if let Some(sink) = self.writing.take() {
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
        Ok(End { tally: self.tally, is_whole })
    }

    /// Judges a block of whole lines.
    fn judge(&mut self, work: &mut Work) -> io::Result<()> {
        work.out.clear();
        let output = self.engine.lines(work.block.bytes(), self.mode, &mut work.out, &mut self.tally);
        work.edited = output == Output::Changed;
        self.compress(work)
    }

    fn compress(&self, work: &mut Work) -> io::Result<()> {
        if self.mode == Mode::Write { work.compress(self.codec) } else { Ok(()) }
    }

    /// Writes what became of a block, once those before it are written. `None` where another thread has failed.
    fn write(&self, work: &Work) -> io::Result<Option<()>> {
        let Some(mut sink) = self.writing.take() else { return Ok(None) };
        sink.take(work)?;
        self.writing.pass_on(sink);
        Ok(Some(()))
    }

    /// A line that is longer than a block, piece by piece: what becomes of one says what becomes of the next.
    fn long_line(&mut self, mut blocks: Blocks<R>, work: &mut Work) -> io::Result<Option<()>> {
        let Some(mut sink) = self.writing.take() else { return Ok(None) };
        let mut line = LongLine::default();
        loop {
            line.judge(self, work);
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
        self.writing.pass_on(sink);
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
    fn judge<R>(&mut self, worker: &mut Worker<'_, R>, work: &mut Work) {
        let Worker { engine, mode, tally, .. } = worker;
        work.out.clear();
        let (block, out) = (&work.block, &mut work.out);
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
        work.edited = output == Output::Changed;
        if work.edited && !self.counted {
            tally.matches += 1;
            self.counted = true;
        }
    }
}
