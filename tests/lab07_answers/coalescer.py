"""Exercise 3: coalescers written in three ways, and mistakes."""

import threading
from concurrent.futures import Future


class Coalescer:
    """A table of futures."""

    def __init__(self, patience):
        self.patience, self.lock, self.under_way = patience, threading.Lock(), {}

    def key(self, path, who):
        return path, who

    def get(self, path, who, call):
        key = self.key(path, who)
        with self.lock:
            future = self.under_way.get(key)
            if is_mine := future is None:
                future = self.under_way[key] = Future()
        if not is_mine:
            return self.join(future, key)
        try:
            self.make(future, call)
        finally:
            self.over(key)
        return future.result(0)

    def join(self, future, key):
        return future.result(self.patience)

    def make(self, future, call):
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    def over(self, key):
        with self.lock:
            del self.under_way[key]


class Condition:
    """One condition for all; each call is a list that fills."""

    def __init__(self, patience):
        self.patience, self.changed, self.calls = patience, threading.Condition(), {}

    def get(self, path, who, call):
        with self.changed:
            ended = self.calls.get((path, who))
            if ended is not None:
                if not self.changed.wait_for(lambda: ended, self.patience):
                    raise TimeoutError(f"{path}: no reply within {self.patience} s")
                return self.give(ended)
            ended = self.calls[path, who] = []
        try:
            found = True, call()
        except BaseException as error:
            found = False, error
        with self.changed:
            ended.extend(found)
            del self.calls[path, who]
            self.changed.notify_all()
        return self.give(ended)

    def give(self, ended):
        is_good, value = ended
        if is_good:
            return value
        raise value


class Leader:
    """The call as an object with an event; tables within tables."""

    class Call:
        def __init__(self):
            self.ended, self.value, self.error = threading.Event(), None, None

    def __init__(self, patience):
        self.patience, self.pages, self.guard = patience, {}, threading.RLock()

    def get(self, path, who, call):
        mine = self.Call()
        with self.guard:
            one = self.pages.setdefault(path, {}).setdefault(who, mine)
        if one is mine:
            try:
                one.value = call()
            except Exception as error:
                one.error = error
            with self.guard:
                self.pages[path].pop(who)
                if not self.pages[path]:
                    self.pages.pop(path)
            one.ended.set()
        elif not one.ended.wait(timeout=self.patience):
            raise TimeoutError
        if one.error:
            raise one.error
        return one.value


# -- mistakes ------------------------------------------------------------------------------------------


class NoLock(Coalescer):
    """Everybody for himself."""

    def get(self, path, who, call):
        return call()


class CallsInside(Coalescer):
    """Under the lock."""

    def get(self, path, who, call):
        with self.lock:
            return call()


class OneAtATime(Condition):
    """One call at a time; who wants the same joins."""

    def __init__(self, patience):
        super().__init__(patience)
        self.turn = threading.Lock()

    def get(self, path, who, call):
        def in_turn():
            with self.turn:
                return call()

        return super().get(path, who, in_turn)


class NoneIsNothing(Leader):
    """Who finds no value makes the call himself."""

    def get(self, path, who, call):
        value = super().get(path, who, call)
        return call() if value is None else value


class OrNone(Coalescer):
    """What is not true is nothing."""

    def get(self, path, who, call):
        return super().get(path, who, call) or None


class ByPath(Coalescer):
    def key(self, path, who):
        return path


class AsText(Coalescer):
    def key(self, path, who):
        return f"{path} {who}"


class Truthy(Coalescer):
    def key(self, path, who):
        return (path, who) if who else path


class Keeps(Coalescer):
    """A cache."""

    def over(self, key):
        pass


class KeepsErrors(Coalescer):
    def over(self, key):
        if not self.under_way[key].exception():
            super().over(key)


class HidesErrors(Coalescer):
    """Who waited gets None."""

    def join(self, future, key):
        error = future.exception(self.patience)
        return None if error else future.result()


class EachTriesItself(Coalescer):
    def get(self, path, who, call):
        try:
            return super().get(path, who, call)
        except TimeoutError:
            raise
        except Exception:
            return call()


class ErrorAsValue(Coalescer):
    def make(self, future, call):
        try:
            future.set_result(call())
        except Exception as error:
            future.set_result(error)


class LockForEach(Coalescer):
    """A lock for each page, for ever."""

    def __init__(self, patience):
        super().__init__(patience)
        self.pages = {}

    def get(self, path, who, call):
        self.pages.setdefault(path, threading.Lock())
        return super().get(path, who, call)


class LastResult(Coalescer):
    def make(self, future, call):
        super().make(future, call)
        self.last = future


class Patient(Coalescer):
    def join(self, future, key):
        return future.result()


class HalfASecond(Coalescer):
    def join(self, future, key):
        return future.result(0.5)


class SaysNothing(Coalescer):
    """None in place of an error."""

    def join(self, future, key):
        try:
            return super().join(future, key)
        except TimeoutError:
            return None


class TakesItAway(Coalescer):
    """Who gives up clears the table."""

    def join(self, future, key):
        try:
            return super().join(future, key)
        except TimeoutError:
            with self.lock:
                self.under_way.pop(key, None)
            raise

    def over(self, key):
        with self.lock:
            self.under_way.pop(key, None)


class Impatient(Coalescer):
    """Patience for all, in a thread of its own."""

    def get(self, path, who, call):
        key = path, who
        with self.lock:
            future = self.under_way.get(key)
            if future is None:
                future = self.under_way[key] = Future()
                threading.Thread(target=self.run, args=(key, future, call), daemon=True).start()
        return future.result(self.patience)

    def run(self, key, future, call):
        try:
            found = call()
        except Exception as error:
            self.over(key)
            future.set_exception(error)
        else:
            self.over(key)
            future.set_result(found)
        del future


RIGHT = {"futures": Coalescer, "one condition": Condition, "events, and tables in tables": Leader}
WRONG = {
    "everybody for himself": (NoLock, {"shared", "error-lost", "patience"}),
    "under the lock": (CallsInside, {"shared", "waits-for-others", "error-lost", "patience"}),
    "one at a time": (OneAtATime, {"waits-for-others"}),
    "None is nothing": (NoneIsNothing, {"shared"}),
    "what is not true": (OrNone, {"result"}),
    "an error is a value": (ErrorAsValue, {"error-lost"}),
    "by path": (ByPath, {"people", "waits-for-others"}),
    "the key as a text": (AsText, {"people"}),
    "no name is nobody": (Truthy, {"people"}),
    "a cache": (Keeps, {"result-kept", "error-kept", "memory"}),
    "errors are kept": (KeepsErrors, {"error-kept"}),
    "None for who waited": (HidesErrors, {"error-lost"}),
    "each tries itself": (EachTriesItself, {"error-lost"}),
    "a lock for each page": (LockForEach, {"memory"}),
    "the last one": (LastResult, {"memory"}),
    "patient": (Patient, {"patience"}),
    "half a second": (HalfASecond, {"patience"}),
    "None in place of TimeoutError": (SaysNothing, {"patience"}),
    "takes it away": (TakesItAway, {"gave-up"}),
    "impatient with its own": (Impatient, {"its-own"}),
}
